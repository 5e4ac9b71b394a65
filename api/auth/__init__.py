"""The identities of clients: the ``--auth`` of an api node. See CONTRIBUTING.md for terms."""
