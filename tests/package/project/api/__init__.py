"""The package ``api`` of this project."""

GREETING = "welcome"
