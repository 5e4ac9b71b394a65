"""The file of ``--config``: one TOML file for all programs of a machine.

A program takes the keys of its own table, ``[api]`` for ``lastcall-api`` and ``[up]`` for
``lastcall up``, and those above the tables, which all programs share; its own win. It does not look
into the tables of other programs, and leaves a shared key that only others have to them. A key or a
table that no program has is refused. ``[limits]`` is for whichever node counts what it limits.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import msgspec

from lastcall.errors import UsageError
from lastcall.nearest import did_you_mean
from lastcall.runtime.programs import ALL_OPTIONS, OPTIONS_OF, programs_with

LIMITS = "limits"


class ConfigFile(msgspec.Struct, frozen=True):
    """The values for one program: texts by the names of its options, and ``[limits]``.

    ``places`` says where each value stands, as an error names it.
    """

    values: Mapping[str, str]
    places: Mapping[str, str]
    limits: Mapping[str, Any]


def read_config(file: str, program: str, options: AbstractSet[str]) -> ConfigFile:
    """Reads ``file`` for ``program``, which has ``options``.

    Raises :class:`UsageError` with the file and the key that is wrong, and the nearest right one.
    """
    content = _parse(Path(file))
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    _check_tables(tables, file)
    shared = _settings({k: v for k, v in content.items() if k not in tables}, file)
    for name in shared.keys() - options:
        _check_shared(name, file, options)
    own = _settings(tables.get(program, {}), f"{file} [{program}]")
    for name in own.keys() - options:
        raise UsageError(f"{file} [{program}]: {_unknown(name, program, options)}")
    taken = {name: value for name, value in shared.items() if name in options}
    return ConfigFile(
        taken | own,
        dict.fromkeys(taken, file) | dict.fromkeys(own, f"{file} [{program}]"),
        tables.get(LIMITS, {}),
    )


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--config {file} is not valid TOML: {error}") from error


def _check_tables(tables: Mapping[str, Any], file: str) -> None:
    known = [*OPTIONS_OF, LIMITS]
    for name in tables.keys() - known:
        if name.replace("_", "-") in ALL_OPTIONS:
            raise UsageError(f"{file}: {name!r} is a table; give one value")
        hint = did_you_mean(name, known) or f"; the tables: {', '.join(known)}"
        raise UsageError(f"{file}: no program reads the table [{name}]{hint}")


def _check_shared(name: str, file: str, options: AbstractSet[str]) -> None:
    if name in OPTIONS_OF or name == LIMITS:
        raise UsageError(f"{file}: {name!r} is a table: write [{name}], and its keys below")
    if name not in ALL_OPTIONS:
        hint = did_you_mean(name, sorted(options)) or did_you_mean(name, sorted(ALL_OPTIONS))
        raise UsageError(f"{file}: no program has an option {name!r}{hint or _listed(options)}")


def _unknown(name: str, program: str, options: AbstractSet[str]) -> str:
    others = programs_with(name)
    if others:
        return f"{program} has no option {name!r}; it is one of [{'], ['.join(others)}]"
    hint = did_you_mean(name, sorted(options)) or _listed(options)
    return f"{program} has no option {name!r}{hint}"


def _listed(options: AbstractSet[str]) -> str:
    return f"; the options here: {', '.join(sorted(options))}"


def _settings(table: Mapping[str, Any], place: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name in values:
            raise UsageError(f"{place}: {key!r} is set twice, with a dash and with an underscore")
        if isinstance(value, dict):
            raise UsageError(f"{place}: {key!r} is a table; give one value")
        values[name] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return values
