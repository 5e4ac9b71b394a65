"""The public test kit.

``play`` runs one room of yours under the virtual clock; ``bus_suite`` is what a transport must pass.
"""

from rooms.testing.harness import Table, play

__all__ = ["Table", "play"]
