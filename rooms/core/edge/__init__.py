"""Decisions of an api node: placement, input limits, waiting. See CONTRIBUTING.md for terms."""
