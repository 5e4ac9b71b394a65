"""Bytes and WebSocket frames: the pump, the stream, the cork."""
