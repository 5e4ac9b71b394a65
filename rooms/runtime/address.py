"""Addresses as options say them: a host to be known by, and a port for clients."""

from __future__ import annotations

import msgspec

from lastcall.bus.address import HostPort, is_host, is_wildcard, parse_host_port
from lastcall.errors import BadAddress

__all__ = ["InheritedSocket", "parse_host", "parse_listen"]


class InheritedSocket(msgspec.Struct, frozen=True):
    """``fd:N``: a listening socket that the process was started with."""

    descriptor: int

    def __str__(self) -> str:
        return f"fd:{self.descriptor}"


def parse_host(text: str) -> str:
    """A host name or IP address alone, as ``--advertise`` takes it: one that others can dial."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_wildcard(bare):
        raise BadAddress(
            f"{text!r} stands for every interface, which nobody can dial: it takes the name or IP "
            "address by which others reach this node, such as 10.0.0.5"
        )
    if not is_host(bare) or "%" in bare:  # a zone is this machine's own, and nng takes none
        raise BadAddress(f"{text!r} is no host: it takes a name or an IP address without a port")
    return bare


def parse_listen(text: str) -> HostPort | InheritedSocket:
    """``HOST:PORT`` or ``fd:N``, for a client port."""
    if text.startswith("fd:"):
        number = text.removeprefix("fd:")
        if not (number.isascii() and number.isdigit()):
            raise BadAddress(f"{text!r}: it takes fd:N with the number of an open socket, as fd:3")
        return InheritedSocket(int(number))
    return parse_host_port(text, example="127.0.0.1:8080, or fd:3 for an inherited socket")
