"""The rooms that a bench plays in, and the ledgers of what was said and heard there.

See CONTRIBUTING.md for terms.
"""
