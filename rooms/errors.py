"""Every error that Lastcall raises, in one tree.

::

    LastcallError
    ├── UsageError              a wrong option, address or module; the command ends with exit code 2
    │   ├── AddressInUse        another process listens at the address
    │   ├── BadAddress          the address does not have the required form
    │   └── BadRooms            an author's module cannot be served
    ├── BusExhausted            the process has no descriptor or memory for one more socket
    ├── LocalProtocolError      this side, or a room's author, broke a rule
    │   ├── MessageTooBig       an attempt to send a message over its limit
    │   ├── TooMuchAtOnce       a room sent or started too much without letting others run
    │   ├── RoomCodeError       a room's code raised what cannot be raised or shown as it is
    │   ├── RoomWaits           a test waits for the end of a room that waits for the test
    │   ├── StateFailed         a room's state cannot be encoded as its kind says
    │   └── WrongEvent          the lifecycle table has no step for the event in this phase
    ├── RemoteProtocolError     the other side broke a rule
    │   ├── ImageRefused        a room's image that cannot be of a room here; the message says why
    │   ├── BadFrame            a frame that cannot be read or is not valid; carries its error code
    │   ├── StateUnreadable     a room's state, encoded by other code, does not fit this code's kind
    │   └── MisplacedItem       an item that a link of this kind does not carry
    ├── OutputClosed            nobody reads what a command prints; it ends with exit code 141
    ├── ClusterFailed           a cluster on this machine did not start; the message says why
    │   └── CommandForbidden    a node does not let the caller command it
    └── ClientError             the errors of the Python client
        ├── ConnectFailed       no server could be reached, or none accepted the connection
        ├── ConnectionLost      the socket is closed; carries the close code
        │   └── PlaceLost       and its place is lost too: the client does not come back
        │       └── AuthRefused the server refuses the client: its token is missing or not valid
        └── JoinRefused         the server answered a join with an error; carries its code
            └── NodeGone        the game node has gone, and no other one takes rooms now
"""

from __future__ import annotations

from typing import Self

__all__ = [
    "AddressInUse",
    "AuthRefused",
    "BadAddress",
    "BadFrame",
    "BadRooms",
    "BusExhausted",
    "ClientError",
    "ClusterFailed",
    "CommandForbidden",
    "ConnectFailed",
    "ConnectionLost",
    "ImageRefused",
    "JoinRefused",
    "LastcallError",
    "LocalProtocolError",
    "MessageTooBig",
    "MisplacedItem",
    "NodeGone",
    "OutputClosed",
    "PlaceLost",
    "RemoteProtocolError",
    "RoomCodeError",
    "RoomWaits",
    "StateFailed",
    "StateUnreadable",
    "TooMuchAtOnce",
    "UsageError",
    "WrongEvent",
]


class LastcallError(Exception):
    """The root: catch this to catch every error that Lastcall raises on purpose."""


class UsageError(LastcallError):
    """A wrong option, address or module. The message is one line; the exit code is 2."""


class AddressInUse(UsageError):
    """Another process already listens at that address."""


class BadAddress(UsageError):
    """The address does not have the required form; the message shows that form."""


class BadRooms(UsageError):
    """An author's module cannot be imported, defines no kind, or defines one twice."""


class BusExhausted(LastcallError):
    """The process has no descriptor or memory for one more socket to another node."""


class LocalProtocolError(LastcallError):
    """This side, or a room's author, did something that the protocol forbids."""


class MessageTooBig(LocalProtocolError):
    """An attempt to send a message over its limit; the error's text names both sizes in bytes."""


class TooMuchAtOnce(LocalProtocolError):
    """A room sent more than 16 MiB (each message counts 1 KiB more), or started more than 10 000
    tasks, without an ``await`` that lets others run: nobody else on the node was served meanwhile.
    """


class RoomCodeError(LocalProtocolError):
    """An author's code raised an error that cannot be raised or shown as it is; this stands for it:
    a ``Cancelled`` where nothing is cancelled, a text over 10 KiB, or a ``__repr__`` that raises.
    """


class RoomWaits(LocalProtocolError):
    """A test waits for the end of a room that waits for the test; the message says what to do."""


class StateFailed(LocalProtocolError):
    """A room's state cannot be encoded: it has another type than its kind says, holds what msgpack
    cannot, or is over the policy's ``state_bytes``. Or its kind has no state at all.
    """


class WrongEvent(LocalProtocolError):
    """A table of states does not have this step from here; nothing was changed."""


class RemoteProtocolError(LastcallError):
    """The other side sent something that the protocol forbids."""


class MisplacedItem(RemoteProtocolError):
    """An item that only another tier's links carry, such as a move of a room from an api node."""


class BadFrame(RemoteProtocolError):
    """A frame that cannot be read or is not valid; ``code`` is an ``ErrorCode``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ImageRefused(RemoteProtocolError):
    """A room's image does not fit its kind here, or is of no room at all."""


class StateUnreadable(RemoteProtocolError):
    """The state in a room's image does not fit the type that the kind has here."""


class OutputClosed(LastcallError):
    """Nobody reads what a command prints any more."""


class ClusterFailed(LastcallError):
    """A cluster on this machine did not start: a node ended, or was not ready in time."""


class CommandForbidden(ClusterFailed):
    """A node does not let the caller command it: its token is missing or wrong, for example."""


class ClientError(LastcallError):
    """The root of the Python client's errors."""


class ConnectFailed(ClientError):
    """No server could be reached, or none accepted the connection, within the time given.

    ``retry_after``: all servers are busy; seconds until one of them may be asked again, or 0.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConnectionLost(ClientError):
    """The socket is closed. ``code`` is the close code (RFC 6455 §7.4), or 1006 without one."""

    _said = "the connection is closed"

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{self._said} ({code}{': ' + reason if reason else ''})")
        self.code = code
        self.reason = reason

    def again(self) -> Self:
        """A new exception for each that waits: a raised one carries its own traceback."""
        return type(self)(self.code, self.reason)


class PlaceLost(ConnectionLost):
    """The place is lost for good, though its room may go on.

    ``code`` is the final close code (4001 to 4005: not allowed, broke the protocol, kicked, no
    such place, taken over), or the code of the last loss when the client gave up.
    """


class AuthRefused(PlaceLost):
    """The server refuses who the client is: its token is missing, not valid, or may not do this.

    ``code`` is the HTTP status of the handshake (401 or 403), or the close code 4001.
    """

    _said = "the server refuses this client"


class JoinRefused(ClientError):
    """The server answered a join with an error: ``code``; ``retry``: it may succeed later."""

    def __init__(self, code: str, message: str, *, retry: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retry = retry


class NodeGone(JoinRefused):
    """The game node has gone, and no other one takes rooms now (``no_game_node``); try later."""
