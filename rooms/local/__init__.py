"""A cluster on one machine: what ``lastcall up`` runs."""
