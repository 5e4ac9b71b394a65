"""What both clients decide: when to reconnect, and what to send again."""
