"""The trio drivers that both kinds of node use."""
