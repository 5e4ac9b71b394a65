"""The game tier as sessions see it: joins, resumes, reattachment. See CONTRIBUTING.md for terms."""
