"""The file of the cluster's secret (``--cluster-secret-file``), read again when it changes."""

from __future__ import annotations

from pathlib import Path

import structlog

from lastcall.errors import UsageError

SECRETS_MAX = 2
SECRET_BYTES_MIN = 16


class SecretFile:
    """One secret a line: the first is used, and each is accepted. So it is changed in three steps:
    the new one is added as the second line everywhere, then the lines are swapped, then the old
    one is removed.
    """

    def __init__(self, file: Path) -> None:
        """Reads the file; raises :class:`lastcall.errors.UsageError` with what is wrong."""
        self._file = file
        self._stamp = _stamp(file)
        self._secrets = _read(file)

    def secrets(self) -> tuple[bytes, ...]:
        """The secrets as the file has them now. If it cannot be used, nothing changes."""
        stamp = _stamp(self._file)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._secrets = _read(self._file)
            except UsageError as error:
                structlog.get_logger().warning("secret.unusable", why=str(error), kept="the old")
            else:
                structlog.get_logger().info("secret.read", file=str(self._file))
        return self._secrets


def no_secrets() -> tuple[bytes, ...]:
    """For a node without a secret."""
    return ()


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _read(file: Path) -> tuple[bytes, ...]:
    option = f"--cluster-secret-file {file}"
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{option} cannot be read: {error.strerror}") from error
    secrets = tuple(filter(None, (line.strip() for line in lines)))
    if not 1 <= len(secrets) <= SECRETS_MAX:
        raise UsageError(f"{option} has {len(secrets)} secrets; it takes one or two, one a line")
    if min(map(len, secrets)) < SECRET_BYTES_MIN:
        raise UsageError(
            f"{option}: a secret has at least {SECRET_BYTES_MIN} characters; make one with: "
            "openssl rand -hex 32"
        )
    return secrets
