"""The transport between nodes: the Protocol, one bus in memory, one over nng.

See CONTRIBUTING.md for terms.
"""
