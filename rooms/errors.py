"""Every error that Lastcall raises, in one tree.

::

    LastcallError
    ├── UsageError              a wrong option, address or module; the command ends with exit code 2
    │   ├── AddressInUse        somebody listens there already
    │   ├── BadAddress          not an address of the form that is wanted
    │   └── BadRooms            an author's module that cannot be served
    ├── BusExhausted            the process has no descriptor or memory for one more socket
    ├── LocalProtocolError      we, or a room's author, asked for something that the rules forbid
    │   ├── MessageTooBig       a message over its limit was about to be sent
    │   └── WrongEvent          the lifecycle table has no such step from this phase
    ├── RemoteProtocolError     the other side sent something that the rules forbid
    │   └── BadFrame            a client's frame that cannot be taken; carries its error code
    ├── ClusterFailed           a cluster on this machine did not come up; the message says why
    └── ClientError             what the Python client raises
        ├── ConnectFailed       no server could be reached, or none would have us
        ├── ConnectionLost      the socket is closed; carries the close code
        │   └── PlaceLost       and the place with it: the client does not, or may not, come back
        └── JoinRefused         the server answered a join with an error; carries its code
            └── NodeGone        the game node that was asked has gone, and no other takes rooms now
"""

from __future__ import annotations

__all__ = [
    "AddressInUse",
    "BadAddress",
    "BadFrame",
    "BadRooms",
    "BusExhausted",
    "ClientError",
    "ClusterFailed",
    "ConnectFailed",
    "ConnectionLost",
    "JoinRefused",
    "LastcallError",
    "LocalProtocolError",
    "MessageTooBig",
    "NodeGone",
    "PlaceLost",
    "RemoteProtocolError",
    "UsageError",
    "WrongEvent",
]


class LastcallError(Exception):
    """The root: catch this to catch all that Lastcall raises on purpose."""


class UsageError(LastcallError):
    """A wrong option, address or module: one line that says what and where; exit code 2."""


class AddressInUse(UsageError):
    """Somebody listens at that address already."""


class BadAddress(UsageError):
    """Not an address of the form that is wanted; the message shows that form."""


class BadRooms(UsageError):
    """An author's module that cannot be imported, holds no kind, or defines one twice."""


class BusExhausted(LastcallError):
    """The process has no descriptor or memory for one more socket to another node."""


class LocalProtocolError(LastcallError):
    """We, or a room's author, asked for something that the rules forbid."""


class MessageTooBig(LocalProtocolError):
    """A message over its limit was about to be sent; the message names both sizes in bytes."""


class WrongEvent(LocalProtocolError):
    """A table of states does not have this step from here; nothing was changed."""


class RemoteProtocolError(LastcallError):
    """The other side sent something that the rules forbid."""


class BadFrame(RemoteProtocolError):
    """A client's frame that cannot be taken.

    ``code`` is one of the closed list in :class:`lastcall.reasons.ErrorCode`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ClusterFailed(LastcallError):
    """A cluster on this machine did not come up: a node ended, or was not ready in time."""


class ClientError(LastcallError):
    """The root of what the Python client raises."""


class ConnectFailed(ClientError):
    """No server could be reached, or none would have us, within the time given."""


class ConnectionLost(ClientError):
    """The socket is closed. ``code`` is the close code (RFC 6455 §7.4), 1006 if there was none."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the connection is closed ({code}{': ' + reason if reason else ''})")
        self.code = code
        self.reason = reason


class PlaceLost(ConnectionLost):
    """The place is gone for good, though its room may go on.

    ``code`` is the final close code (4001 to 4005: not allowed, broke the protocol, kicked, no
    such place, taken over), or that of the last loss when the client gave up.
    """


class JoinRefused(ClientError):
    """The server answered a join with an error frame: ``code``, and ``retry`` if it may pass."""

    def __init__(self, code: str, message: str, *, retry: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retry = retry


class NodeGone(JoinRefused):
    """The game node that was asked has gone, and no other takes rooms now; the same may pass later.

    The server's ``no_game_node``.
    """
