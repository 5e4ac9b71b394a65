"""The commands of ``python -m bench``. See CONTRIBUTING.md for terms."""
