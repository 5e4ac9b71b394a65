"""TLS for clients: one certificate and its key, read from files and read again on SIGHUP."""

from __future__ import annotations

import signal
import ssl
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
import trio
from cryptography import x509

from lastcall.errors import UsageError

log = structlog.get_logger("lastcall.api.gateway.tls")


class _Pair(msgspec.Struct, frozen=True):
    """A certificate and its key, ready for use."""

    context: ssl.SSLContext
    until: datetime
    """When the certificate expires."""

    @property
    def expired(self) -> bool:
        return self.until <= datetime.now(UTC)


class ServerTls:
    """The TLS settings of new connections: TLS 1.2 or newer, HTTP/1.1.

    Connections keep the settings that they have begun with.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Reads both files, which takes a moment; raises :class:`UsageError`, which says what is
        wrong with them. A certificate that has expired is used, with a warning: some clients do
        not check it, and a node that does not start helps none of them.
        """
        self._certificate = certificate
        self._key = key
        pair = _load(certificate, key)
        self.context = pair.context
        tell = log.warning if pair.expired else log.info
        tell("tls.loaded", certificate=str(certificate), until=pair.until.isoformat())

    async def reload(self) -> None:
        """Reads both files again; if they are not good, the old pair stays, and an event says so.

        New handshakes have the new pair; nothing else changes. Cancelling changes nothing.
        """
        try:
            pair = await trio.to_thread.run_sync(_load, self._certificate, self._key)
            problem = f"--tls-cert {self._certificate} has expired" if pair.expired else ""
        except UsageError as error:
            problem = str(error)
        if problem:
            log.error("tls.not_reloaded", message=f"the previous pair stays in use: {problem}")
            return
        self.context = pair.context
        log.info("tls.reloaded", certificate=str(self._certificate), until=pair.until.isoformat())

    async def reload_on_hangup(self) -> None:
        """Reloads at each SIGHUP, until cancelled; signals that come during a reload are one.

        Only the main thread may run it.
        """
        with trio.open_signal_receiver(signal.SIGHUP) as hangups:
            async for _ in hangups:
                await self.reload()


def _load(certificate: Path, key: Path) -> _Pair:
    """Raises :class:`UsageError` only."""
    for flag, file in (("--tls-cert", certificate), ("--tls-key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            raise UsageError(f"{flag} {file} cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        until = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:  # OpenSSL's are OSErrors
        raise UsageError(_advice(certificate, key, error)) from error
    return _Pair(context, until)


def _no_password() -> str:
    """Called for an encrypted key: without it OpenSSL would ask the terminal."""
    raise ValueError("the key is encrypted, and nobody is there to ask for its password")


def _advice(certificate: Path, key: Path, error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return f"--tls-key {key} is not the key of --tls-cert {certificate}: give a pair"
    return (
        f"--tls-cert {certificate} and --tls-key {key} cannot be used ({reason or error}): give a "
        "chain of certificates, the node's own first, and its unencrypted private key, both in PEM"
    )
