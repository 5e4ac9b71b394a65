"""What an api node decides: where a join goes, what an input is, who has to wait."""
