"""How a room outlives its node: standby, witness and votes. See CONTRIBUTING.md for terms.

``rooms.py`` is the entrance for a game node, ``votes.py`` the one for a witness.
"""
