"""Other servers that do the same work in the same run. See CONTRIBUTING.md for terms."""
