"""The results of a scenario: tables, JSON, percentiles. See CONTRIBUTING.md for terms."""
