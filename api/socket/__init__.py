"""Bytes and WebSocket frames: the pump, the stream, the cork. See CONTRIBUTING.md for terms."""
