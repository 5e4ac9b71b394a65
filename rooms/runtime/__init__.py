"""The trio drivers that both kinds of node use. See CONTRIBUTING.md for terms."""
