"""Variables of the environment that look like options, and are none: most are misspelt."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lastcall.nearest import nearest
from lastcall.runtime.programs import ALL_OPTIONS

PREFIX = "LASTCALL_"
KNOWN = sorted(
    name.replace("-", "_").upper() for name in {*ALL_OPTIONS, "config", "lifeline", "pump"}
)
"""The variables that a program reads, without their prefix: the options', ``LASTCALL_PUMP``, and
that of the pipe from a node to its ``lastcall up``."""

_OF_A_SERVICE = re.compile(
    r"LASTCALL_(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)",
    re.ASCII,
)
"""The names of the variables that Kubernetes sets for a Service named ``lastcall-…``."""
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")

_named: set[str] = set()


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that no program reads, each with the nearest one that is read, or ``""``.

    Those that Kubernetes sets for Services are not among them.
    """
    unknown = {}
    for name, value in sorted(environ.items()):
        word = name.removeprefix(PREFIX)
        if word != name and word not in KNOWN and not _is_of_a_service(name, value):
            near = nearest(word, KNOWN)
            unknown[name] = near and PREFIX + near
    return unknown


def not_named_yet(environ: Mapping[str, str]) -> dict[str, str]:
    """The :func:`unknown_variables` that this process has not named yet: each is named once."""
    found = {key: near for key, near in unknown_variables(environ).items() if key not in _named}
    _named.update(found)
    return found


def _is_of_a_service(name: str, value: str) -> bool:
    if name.endswith("_PORT") and _SERVICE_URL.match(value):
        return True
    return _OF_A_SERVICE.fullmatch(name) is not None
