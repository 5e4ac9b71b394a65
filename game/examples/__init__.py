"""Four example rooms; each shows one thing, and all can move. See CONTRIBUTING.md for terms.

``tictactoe`` turns and a result · ``countdown`` options and time · ``arena`` ticks and the inputs
between them · ``lounge`` a room that is open until its last player leaves.
"""
