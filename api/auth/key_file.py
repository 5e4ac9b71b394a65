"""The file with the keys, which may be replaced while the node runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog
import trio

from lastcall.api.auth.keys import VerifyKeys, read_keys
from lastcall.errors import UsageError

LOOK_SECONDS = 1.0
FILE_BYTES_MAX = 1024 * 1024

Version = tuple[int, int, int, int]

log = structlog.get_logger("lastcall.api.auth.key_file")


class KeyFile:
    """The keys of a file, as they were when it could be read last.

    A file that has changed is read once it has kept still for a second, and not while it is being
    written; half a secret would be a secret too. If it is gone or wrong, the keys stay as they are,
    and an event says so, once for each version of the file.
    """

    def __init__(self, path: Path, algorithms: Sequence[str] = ()) -> None:
        """Raises :class:`UsageError` if the file cannot be read, or holds no key for these."""
        self._path = path
        self._algorithms = algorithms
        self._seen = self._version()
        self._settled = self._seen
        self.keys = self._read()

    async def watch(self) -> None:
        """Looks at the file every second, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Reads the file again if it has changed before the last look, and not since."""
        before, self._seen = self._seen, self._version()
        if self._seen != before or self._seen == self._settled:
            return
        self._settled = self._seen
        try:
            self.keys = self._read()
        except UsageError as error:
            log.warning("auth.keys_kept", file=str(self._path), why=str(error))
        else:
            log.info("auth.keys_read", file=str(self._path), keys=len(self.keys.by_id) or 1)

    def _version(self) -> Version | None:
        """A value that changes with the file's content; None if there is no file."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_ctime_ns

    def _read(self) -> VerifyKeys:
        option = f"--jwt-key-file {self._path}"
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise UsageError(f"{option} cannot be read: {error.strerror}") from error
        if len(data) > FILE_BYTES_MAX:
            raise UsageError(f"{option}: a file with keys has {FILE_BYTES_MAX} bytes at most")
        try:
            return read_keys(data, self._algorithms)
        except UsageError as error:
            raise UsageError(f"{option}: {error}") from error
