"""The bench's rooms, and the ledger of what players sent and got. See CONTRIBUTING.md for terms."""
