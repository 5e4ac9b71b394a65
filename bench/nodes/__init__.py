"""The nodes under test as processes, and their memory and processor time.

See CONTRIBUTING.md for terms.
"""
