"""Bytes to values and back: client frames, node messages."""
