"""The load generator, its scenarios, and their report."""
