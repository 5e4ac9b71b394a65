"""Certificates for nodes on loopback, for one run."""

from __future__ import annotations

from pathlib import Path

import trustme

LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


def write_certificates(folder: Path) -> Path:
    """Writes the files of ``--cluster-tls`` of a new CA; returns the folder."""
    ca = trustme.CA()
    cert = ca.issue_cert(*LOOPBACK)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    cert.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return folder
