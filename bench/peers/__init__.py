"""Other servers doing the same work, in the same run: their own few lines each."""
