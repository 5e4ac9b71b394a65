"""The game nodes as an api node sees them: links, joins, resumes."""
