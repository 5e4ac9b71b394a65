"""Runs a command: reads its options, reports its errors, ends with its exit code.

Each option is a flag, an environment variable (``LASTCALL_GRACE=60``) and a key of an optional
TOML file; flags win over environment over file. A wrong option, found here or later in the
command, is one line on stderr, ``Error: …``, and exit code 2.
"""

from __future__ import annotations

import functools
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import click
from click.core import ParameterSource

from lastcall.errors import UsageError
from lastcall.exception_groups import unwrap_single
from lastcall.reasons import ExitCode

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

CONFIG_FILE = "lastcall.config_file"
"""The key in a click context for the file that its defaults are from."""
CONFIG_TABLES = "lastcall.config_tables"
"""The key in a click context for the tables of that file."""
TABLES = frozenset({"limits"})
"""The tables that a file may have; a command that has no use for one ignores it."""


def run_command(
    command: click.Command, args: Sequence[str] | None = None, *, name: str | None = None
) -> NoReturn:
    """Runs ``command`` and exits with the code that it returns; ``None`` is 0.

    ``name`` is what its help calls it, by default the program's name.

    Every :class:`UsageError`, also one from a nursery, is one line on stderr and exit code 2;
    Ctrl-C is one line and exit code 130.
    """
    try:
        code = command.main(args, prog_name=name, standalone_mode=False)
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


def _refuse(message: str) -> NoReturn:
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
            return f" (from {error.ctx.meta.get(CONFIG_FILE)})"
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
    """The option ``--config FILE``: a TOML file whose keys are the command's options."""
    return option(
        "--config",
        metavar="FILE",
        is_eager=True,  # read before the options, whose defaults it sets
        expose_value=False,
        callback=_use_config,
        help="A TOML file with these options as keys.",
    )(command)


def _use_config(ctx: click.Context, _param: click.Parameter, file: str | None) -> None:
    if file is None:
        return
    known = {_key(param.opts[0]): param for param in ctx.command.params if _is_setting(param)}
    table = _read_config(Path(file))
    ctx.meta[CONFIG_TABLES] = {key: table.pop(key) for key in TABLES & set(table)}
    values = _settings(table, file, set(known))
    ctx.default_map = {
        str(known[key].name): _parts(value) if known[key].multiple else value
        for key, value in values.items()
    }
    ctx.meta[CONFIG_FILE] = file


def config_table(name: str) -> tuple[Mapping[str, Any], str]:
    """The table ``name`` of the command's ``--config`` file, perhaps empty, and the file."""
    meta = click.get_current_context().meta
    table = meta.get(CONFIG_TABLES, {}).get(name, {})
    file = meta.get(CONFIG_FILE, "")
    if not isinstance(table, dict):
        raise UsageError(f"{file}: {name!r} is a table: write [{name}], and its keys below")
    return table, file


def _is_setting(param: click.Parameter) -> TypeGuard[click.Option]:
    return isinstance(param, click.Option) and param.name != "config"


def _read_config(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--config {file} is not valid TOML: {error}") from error


def _settings(table: Mapping[str, Any], file: str, known: set[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            options = ", ".join(sorted(option.replace("_", "-") for option in known))
            raise UsageError(f"{file}: this command has no option {key!r}; its options: {options}")
        if name in values:
            raise UsageError(f"{file}: {key!r} is set twice, with a dash and with an underscore")
        if isinstance(value, dict):
            raise UsageError(f"{file}: {key!r} is a table; give one value")
        values[name] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return values
