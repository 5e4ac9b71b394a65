"""One room's seats and messages, and rooms that have ended. See CONTRIBUTING.md for terms."""
