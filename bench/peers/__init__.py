"""Other servers that do the same work in the same run, each in a few lines.

See CONTRIBUTING.md for terms.
"""
