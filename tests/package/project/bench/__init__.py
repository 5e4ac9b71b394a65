"""The package ``bench`` of this project."""

WORDS = 3
