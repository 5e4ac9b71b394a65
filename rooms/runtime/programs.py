"""Which options each program has: what a program knows of the others, which it never imports.

A file of ``--config`` and an environment are for all programs of a machine, so a key or a variable
that none of them has is a mistake. A test compares this with the commands.
"""

from __future__ import annotations

_DRAIN = "farewell grace lame-duck spread"
_AUTH = "auth jwt-algorithms jwt-audience jwt-issuer jwt-key-file jwt-leeway"
_NODE = (
    f"admin admin-hosts admin-token-file advertise feed games log-format log-level name version "
    f"cluster-secret-file cluster-tls cluster-tls-name {_DRAIN}"
)
_API = f"clients listen origins tls-cert tls-key trusted-proxies {_AUTH}"
_PLAN = f"admin admin-token-file rooms start-timeout {_AUTH} {_DRAIN}"
_ASKS = "admin admin-token-file json port"
_SERVE = f"{_NODE} {_API} apis game-feed links rooms"

OPTIONS_OF = {
    program: frozenset(options.split())
    for program, options in {
        "api": f"{_NODE} {_API}",
        "game": f"{_NODE} apis listen rooms",
        "serve": _SERVE,
        "up": f"{_PLAN} apis bots clients games json port roll-after seconds talkers",
        "dev": f"{_PLAN} listen no-open reload-dir",
        "roll": "json port tier version",
        "status": f"{_ASKS} watch",
        "cordon": f"{_ASKS} all",
        "uncordon": f"{_ASKS} all",
        "drain": f"{_ASKS} all",
        "dashboard": "admin admin-hosts admin-token-file json listen",
    }.items()
}
"""The names of the options of each program, without ``--config``. The name of a program is that of
its table in a file: ``api`` is ``lastcall-api``, and ``up`` is ``lastcall up``."""

ALL_OPTIONS = frozenset[str]().union(*OPTIONS_OF.values())


def programs_with(option: str) -> list[str]:
    """The names of the programs that have the option."""
    return [program for program, options in OPTIONS_OF.items() if option in options]
