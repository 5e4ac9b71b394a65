"""What the tests of whole clusters are made of."""

seed = 0
"""Of the dice of a cluster's nodes, where the test says nothing else: the schedule's number."""
