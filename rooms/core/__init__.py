"""Decisions without I/O: no trio, no clock, no dice; ``now`` and ``rng`` are arguments."""
