"""This project's own ``rooms``."""

SEATS = 4
