"""The rooms that a bench plays in, and the ledger of what was said and heard there."""
