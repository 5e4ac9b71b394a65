"""This project's own ``bench``."""

WORDS = 3
