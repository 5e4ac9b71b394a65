"""The public test kit: ``play`` runs one room in a test; ``bus_suite`` checks a new transport."""

from lastcall.testing.harness import Table, play

__all__ = ["Table", "play"]
