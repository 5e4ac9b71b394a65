"""The module ``rooms`` of this project."""

SEATS = 4
