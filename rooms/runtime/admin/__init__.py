"""The admin port: server, authentication, metrics, static files. See CONTRIBUTING.md for terms."""
