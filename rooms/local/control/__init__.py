"""The control socket of ``lastcall up``. See CONTRIBUTING.md for terms."""
