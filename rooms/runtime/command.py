"""Runs a command: reads its options, reports its errors, ends with its exit code.

Each option is a flag, an environment variable (``LASTCALL_GRACE=60``) and a key of an optional
TOML file; flags win over environment over file. A wrong option, found here or later in the
command, is one line on stderr, ``Error: …``, and exit code 2.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeGuard

import click
from click.core import ParameterSource

from lastcall.errors import UsageError
from lastcall.exception_groups import unwrap_single
from lastcall.reasons import ExitCode
from lastcall.runtime.config_file import read_config
from lastcall.runtime.signals import StopRequests
from lastcall.runtime.variables import not_named_yet

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

CONFIG_FILE = "lastcall.config_file"
"""The key in a click context for the file that its defaults are from, and what is in it."""


def run_command(
    command: click.Command,
    args: Sequence[str] | None = None,
    *,
    name: str | None = None,
    stops: StopRequests | None = None,
) -> NoReturn:
    """Runs ``command`` and exits with the code that it returns; ``None`` is 0.

    ``name`` is what its help calls it, by default the program's name. A command of a node gets the
    ``stops`` that its ``__main__`` has installed (``click.pass_obj``).

    Every :class:`UsageError`, also one from a nursery, is one line on stderr and exit code 2;
    Ctrl-C is one line and exit code 130.
    """
    try:
        code = command.main(args, prog_name=name, standalone_mode=False, obj=stops)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        _refuse(error.format_message().rstrip(".") + _source(error))
    except click.Abort:
        _interrupted()
    except UsageError as error:
        _refuse(str(error))
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt):
            _interrupted()
        refused = unwrap_single(group, UsageError)
        if refused is None:
            raise
        _refuse(str(refused))
    sys.exit(0 if code is None else int(code))


def warn_of_variables() -> None:
    """Names on stderr each variable ``LASTCALL_…`` that no program reads."""
    for name, near in not_named_yet(os.environ).items():
        hint = f"; did you mean {near}?" if near else ""
        click.echo(f"Warning: no program reads {name}{hint}", err=True)


def _refuse(message: str) -> NoReturn:
    warn_of_variables()  # the option that is missing may be the one that is misspelt
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(ExitCode.USAGE)


def _interrupted() -> NoReturn:
    click.echo("Interrupted.", err=True)
    sys.exit(ExitCode.INTERRUPTED)


def _source(error: click.ClickException) -> str:
    """The source of a bad value, if it is not the command line."""
    if not isinstance(error, click.BadParameter) or error.param is None or error.ctx is None:
        return ""
    match error.ctx.get_parameter_source(error.param.name or ""):
        case ParameterSource.ENVIRONMENT:
            return f" (from the environment: {error.param.envvar})"
        case ParameterSource.DEFAULT_MAP:
            return f" (from {error.ctx.meta[CONFIG_FILE][1].places[_flag(error.param)]})"
    return ""


def epilog(*examples: str) -> str:
    """The end of a command's ``--help``: examples, and the other two ways to set an option."""
    lines = "\n".join(f"  {example}" for example in examples)
    return (
        f"\b\nExamples:\n{lines}\n\n"
        "Each option is also an environment variable (--lame-duck: LASTCALL_LAME_DUCK) and a key "
        "of the --config file (lame-duck = 5). Flags win over environment over file."
    )


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """An option whose text ``parse`` reads; its UsageError is reported for the option."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The parsed value; fails with the message of the UsageError."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except UsageError as error:
            self.fail(str(error), param, ctx)

    def split_envvar_value(self, rv: str) -> list[str]:
        """The comma separated values of an option that may be given several times."""
        return _parts(rv)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def option(flag: str, into: str | None = None, **settings: Any) -> Decorator:
    """One option, which is also a variable and a key. The command receives it as ``into``, by
    default under the flag's name. ``settings`` are those of :func:`click.option`.
    """
    variable = "LASTCALL_" + _key(flag).upper()
    names = [flag] if into is None else [flag, into]
    return click.option(*names, envvar=variable, **({"show_default": True} | settings))


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def gathered(into: str, build: Command, options: dict[str, dict[str, Any]]) -> Decorator:
    """Adds ``options``, and passes the result of ``build`` on them to the command as ``into``."""
    names = [_key(flag) for flag in options]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gather(**values: Any) -> Any:
            values[into] = build(**{name: values.pop(name) for name in names})
            return command(**values)

        decorated: Command = gather
        for flag, settings in reversed(options.items()):
            decorated = option(flag, **settings)(decorated)
        return decorated

    return decorate


def config_option(command: Command) -> Command:
    """The option ``--config FILE``: see :mod:`lastcall.runtime.config_file`."""
    return option(
        "--config",
        metavar="FILE",
        type=click.Path(),
        is_eager=True,  # read before the options, whose defaults it sets
        expose_value=False,
        callback=_use_config,
        help="A TOML file with these options as keys; it may be one for all programs, with a table "
        "for each, such as [api].",
    )(command)


def _use_config(ctx: click.Context, _param: click.Parameter, file: str | None) -> None:
    if file is None or ctx.resilient_parsing:
        return
    known = {_flag(param): param for param in ctx.command.params if _is_setting(param)}
    config = read_config(file, _program(ctx), known.keys())
    ctx.default_map = {
        str(known[name].name): _parts(value) if known[name].multiple else value
        for name, value in config.values.items()
    }
    ctx.meta[CONFIG_FILE] = (file, config)


def config_limits() -> tuple[Mapping[str, Any], str]:
    """The table ``[limits]`` of the command's ``--config`` file, perhaps empty, and the file."""
    found = click.get_current_context().meta.get(CONFIG_FILE)
    return ({}, "") if found is None else (found[1].limits, found[0])


def _program(ctx: click.Context) -> str:
    """The program's name: ``api`` of ``lastcall-api``, and ``serve`` of ``lastcall serve``."""
    return str(ctx.command.name).removeprefix("lastcall").lstrip("- ")


def _flag(param: click.Parameter) -> str:
    return param.opts[0].removeprefix("--")


def _is_setting(param: click.Parameter) -> TypeGuard[click.Option]:
    return isinstance(param, click.Option) and param.name != "config"
