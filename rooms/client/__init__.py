"""The Python client: connect, join, say, listen."""
