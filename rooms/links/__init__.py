"""The caller's half of the links to game nodes; see CONTRIBUTING.md for terms."""
