"""The rooms that a bench plays in, and the ledgers of their inputs and messages.

See CONTRIBUTING.md for terms.
"""
