"""Bots that keep their places across sockets, and their checks. See CONTRIBUTING.md for terms."""
