"""The scenarios, one in each file."""
