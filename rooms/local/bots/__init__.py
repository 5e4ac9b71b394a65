"""Bots that play on a local cluster, and their checks. See CONTRIBUTING.md for terms."""
