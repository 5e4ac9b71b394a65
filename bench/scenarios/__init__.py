"""The scenarios, one file each. See CONTRIBUTING.md for terms."""
