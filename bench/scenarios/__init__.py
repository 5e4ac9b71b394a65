"""The scenarios, one in each file. See CONTRIBUTING.md for terms."""
