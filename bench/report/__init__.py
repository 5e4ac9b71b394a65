"""What a scenario found: tables, JSON, percentiles."""
