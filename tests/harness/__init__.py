"""Tools for the tests of whole clusters."""

seed = 0
"""The default seed of the random sources of a cluster's nodes: the number of the schedule."""
