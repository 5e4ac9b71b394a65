"""Decisions without I/O; ``now`` and ``rng`` are arguments. See CONTRIBUTING.md for terms."""
