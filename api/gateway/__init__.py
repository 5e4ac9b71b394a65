"""How a connection becomes a client, and how clients are moved. See CONTRIBUTING.md for terms."""
