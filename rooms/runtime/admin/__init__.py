"""The admin port: server, authentication, metrics, static files."""
