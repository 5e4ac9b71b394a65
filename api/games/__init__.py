"""Game nodes as an api node sees them: links, joins, resumes. See CONTRIBUTING.md for terms."""
