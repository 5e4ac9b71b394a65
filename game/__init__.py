"""The game tier: the node that runs the rooms. See CONTRIBUTING.md for terms."""
