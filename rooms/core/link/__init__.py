"""The link between nodes: feed, uplink, batching, liveness. See CONTRIBUTING.md for terms."""
