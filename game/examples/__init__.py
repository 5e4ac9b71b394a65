"""Four example rooms; each shows one thing. See CONTRIBUTING.md for terms.

``tictactoe`` turns and a result · ``countdown`` options and time · ``arena`` a loop of ticks beside
the inputs · ``lounge`` a room that is open until its last player leaves.
"""
