"""The options of ``lastcall up`` and ``lastcall dev`` that are fields of the plan of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.limits import read_limits
from lastcall.local.plan import START_SECONDS, Plan
from lastcall.runtime.command import Parsed, config_limits
from lastcall.runtime.completion import EXAMPLES, complete_modules


def new_plan(client: HostPort, start_timeout: float, **settings: Any) -> Plan:
    """The plan with these options; its limits are those of the ``--config`` file."""
    limits = read_limits(*config_limits())
    return Plan(client=client, limits=limits, start_seconds=start_timeout, **settings)


def plan_options(*, rooms: str, admin: str, file: str) -> dict[str, dict[str, Any]]:
    """The options that both have, with the help for three of them."""
    return {
        "--rooms": {
            "metavar": "MODULES",
            "default": EXAMPLES,
            "shell_complete": complete_modules,
            "help": rooms,
        },
        "--admin": {
            "type": Parsed("HOST:PORT", parse_host_port),
            "default": "127.0.0.1:9000",
            "help": admin,
        },
        "--admin-token-file": {
            "type": click.Path(dir_okay=False, path_type=Path),
            "metavar": "FILE",
            "help": file,
        },
        "--start-timeout": {
            "type": click.FloatRange(min=0, min_open=True),
            "default": START_SECONDS,
            "metavar": "SECONDS",
            "help": "Within which each node that is started has to be ready.",
        },
    }
