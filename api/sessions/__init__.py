"""One client, its place in a room, and rooms as an api node sees them."""
