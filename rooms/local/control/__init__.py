"""The control socket of ``lastcall up``."""
