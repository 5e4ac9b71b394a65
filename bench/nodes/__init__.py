"""The nodes under test as processes, and what the system accounts to them.

See CONTRIBUTING.md for terms.
"""
