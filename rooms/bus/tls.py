"""The certificates of mutual TLS between nodes (``--cluster-tls DIR``), checked at the start."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec

from lastcall.errors import UsageError

CA, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"


class ClusterTls(msgspec.Struct, frozen=True):
    """The contents of the three files, as PEM. Both ends of a connection are verified.

    ``name`` is the name that a listening node's certificate must bear, where nodes are dialled by
    addresses that no certificate has; without it, that is the host that was dialled.
    """

    ca: str
    certificate: str
    key: str
    name: str = ""


def read_cluster_tls(folder: Path, name: str = "") -> ClusterTls:
    """Reads and checks the files; raises :class:`lastcall.errors.UsageError` with what is wrong."""
    texts = {file: _read(folder / file) for file in (CA, CERTIFICATE, KEY)}
    _check(folder)
    return ClusterTls(texts[CA], texts[CERTIFICATE], texts[KEY], name)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(f"--cluster-tls: {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--cluster-tls: {file} is not PEM: it has other bytes") from error


def _check(folder: Path) -> None:
    """Shakes hands with itself: each side shows the certificate, and verifies the other's."""
    try:
        server, client = (_context(folder, side) for side in ("server", "client"))
        _shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        raise UsageError(
            f"--cluster-tls: {folder / CERTIFICATE} is not valid by {folder / CA}: "
            f"{error.verify_message}"
        ) from error
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UsageError(
            f"--cluster-tls: {folder} needs {CA}, {CERTIFICATE} and its {KEY}, as PEM without a "
            f"password ({reason})"
        ) from error


def _context(folder: Path, side: str) -> ssl.SSLContext:
    protocol = ssl.PROTOCOL_TLS_SERVER if side == "server" else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 tells the client of a refusal later
    context.load_verify_locations(folder / CA)
    context.load_cert_chain(folder / CERTIFICATE, folder / KEY, password=lambda: "")
    return context


def _shake_hands(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
