"""The load generator: clients, frames, payloads, workloads."""
