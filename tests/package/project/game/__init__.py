"""This project's own ``game``."""
