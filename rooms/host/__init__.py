"""The room engine of the game node and the test kit. See CONTRIBUTING.md for terms."""
