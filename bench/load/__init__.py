"""The load generator: clients, frames, payloads, workloads. See CONTRIBUTING.md for terms."""
