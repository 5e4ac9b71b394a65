"""The room engine: what a game node and the test kit run rooms with."""
