"""Four rooms, each showing one thing.

``tictactoe`` turns and a result · ``countdown`` options and time · ``arena`` a loop of ticks beside
the inputs · ``lounge`` a room without an end of its own.
"""
