"""The api tier: clients' WebSockets, and a small actor for each room with a local client."""
