"""Four rooms, each showing one thing."""
