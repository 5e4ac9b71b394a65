"""Decisions of both clients: when to reconnect, what to resend. See CONTRIBUTING.md for terms."""
