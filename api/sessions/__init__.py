"""Clients and their places, and rooms as an api node sees them. See CONTRIBUTING.md for terms."""
