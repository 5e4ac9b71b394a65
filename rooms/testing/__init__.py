"""The public test kit.

``play`` runs one room of yours under the virtual clock; ``bus_suite`` is for a new transport.
"""

from lastcall.testing.harness import Table, play

__all__ = ["Table", "play"]
