"""The rule that the options choose."""

from __future__ import annotations

import sys
from pathlib import Path

from lastcall.api.auth.entry import Auth
from lastcall.api.auth.function import FunctionAuth, load_function
from lastcall.runtime.auth_options import AuthOptions


def chosen_auth(options: AuthOptions) -> Auth | None:
    """The rule of ``--auth``; None if nobody is asked.

    Imports an author's module, whose folder may be the current one. Raises
    :class:`lastcall.errors.UsageError` for what cannot be used.
    """
    if options.auth is None:
        return None
    if options.auth == "jwt":
        # Here, since cryptography takes 0.1 s to import, for nobody else.
        from lastcall.api.auth.json_web_token import JwtAuth  # noqa: PLC0415

        return JwtAuth(options)
    sys.path.insert(0, str(Path.cwd()))  # as for `python -m`: authors start it in their folder
    return FunctionAuth(load_function(options.auth), options.auth)
