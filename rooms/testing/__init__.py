"""The public test kit: the room harness, fakes named by their failure, the bus suite."""
