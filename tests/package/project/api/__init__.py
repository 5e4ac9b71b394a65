"""This project's own ``api``."""

GREETING = "welcome"
