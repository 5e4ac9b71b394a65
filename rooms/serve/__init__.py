"""``lastcall serve``: an api node and a game node in one process, which drain as one."""
