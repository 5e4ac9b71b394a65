"""Bots that play on a local cluster, and what they check."""
