"""Who a client is: the ``--auth`` of an api node. See CONTRIBUTING.md for terms."""
