"""The game tier: the node that runs the rooms."""
