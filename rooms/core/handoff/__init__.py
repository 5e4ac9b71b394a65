"""A room moves from one game node to another: the decisions of the node that gives it, and of the
one that takes it. See CONTRIBUTING.md for terms.
"""
