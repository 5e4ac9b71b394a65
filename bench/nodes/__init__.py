"""The nodes under test as processes, and what the system says of them."""
