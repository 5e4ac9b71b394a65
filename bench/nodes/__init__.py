"""The nodes under test as processes, and their system figures. See CONTRIBUTING.md for terms."""
