"""Docstrings in the repository's style become Markdown for the reference."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([\w.]+)`")
ARGUMENT = re.compile(r"(?m)^(``\w+``(?:, ``\w+``)*: )")
"""The first line of what a docstring says of an argument; the next ones are indented."""


class Roles(Extension):
    """Turns ``:class:`` into code, ``::`` before a block into a colon, arguments into a list."""

    def on_object(self, *, obj: Object, **_others: Any) -> None:
        """Changes the docstring of a class, a function or an attribute."""
        if obj.docstring is not None:
            text = ROLE.sub(r"``\1``", obj.docstring.value)
            text = ARGUMENT.sub(r"\n* \1", text)
            obj.docstring.value = re.sub(r"(?m)^::$", "", text).replace("::\n\n", ":\n\n")
