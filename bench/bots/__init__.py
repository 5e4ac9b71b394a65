"""Players whose places outlive their sockets, and the check of what they hear."""
