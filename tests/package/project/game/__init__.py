"""The package ``game`` of this project."""
