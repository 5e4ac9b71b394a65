"""The cluster on one machine that ``lastcall up`` runs. See CONTRIBUTING.md for terms."""
