"""``lastcall dev``: rooms that move into the author's new code at each save."""
