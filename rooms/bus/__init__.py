"""The transport seam: the Protocol, one bus in memory, one over nng."""
