"""The link between an api node and a game node: feed, uplink, batching, liveness."""
