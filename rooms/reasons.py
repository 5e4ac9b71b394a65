"""The closed lists of reasons and codes that clients and operators rely on."""

from __future__ import annotations

import enum

__all__ = ["END_OF_CODE", "RETRY", "ClientEnd", "Close", "EndReason", "ErrorCode", "ExitCode"]


class EndReason(enum.StrEnum):
    """Why a player's place has ended: ``reason`` of the frame ``ended``."""

    FINISHED = "finished"
    CUT = "cut"
    CRASHED = "crashed"
    NODE_LOST = "node_lost"
    ABANDONED = "abandoned"
    KICKED = "kicked"
    LEFT = "left"


class ErrorCode(enum.StrEnum):
    """``code`` of the frame ``error``; the third frame of the first three closes the socket."""

    BAD_JSON = "bad_json"
    BAD_FRAME = "bad_frame"
    UNKNOWN_TYPE = "unknown_type"
    NO_SUCH_KIND = "no_such_kind"
    NO_SUCH_ROOM = "no_such_room"
    FULL = "full"
    LOCKED = "locked"
    NO_GAME_NODE = "no_game_node"
    NOT_IN_A_ROOM = "not_in_a_room"
    ALREADY_IN_A_ROOM = "already_in_a_room"
    BAD_INPUT = "bad_input"
    TOO_BIG = "too_big"
    TOO_MANY = "too_many"


RETRY = frozenset({ErrorCode.NO_GAME_NODE, ErrorCode.TOO_MANY})
"""The codes after which the same request may succeed a little later."""


class Close(enum.IntEnum):
    """WebSocket close codes (RFC 6455 §7.4; 4000-4999 are private use). 4001-4005 are final."""

    NORMAL = 1000
    UNSUPPORTED = 1003
    TOO_BIG = 1009
    SERVICE_RESTART = 1012
    """The client reconnects at once: the node is leaving, cannot reach the client's room, or has
    lost messages on their way to it."""
    TRY_AGAIN_LATER = 1013
    """The node is full, or not ready."""
    NOT_ALLOWED = 4001
    BROKE_PROTOCOL = 4002
    KICKED = 4003
    NO_SUCH_PLACE = 4004
    TAKEN_OVER = 4005
    SLOW_READER = 4100
    TOO_MANY_MESSAGES = 4101


class ClientEnd(enum.StrEnum):
    """Why a client's connection has ended: ``cause`` in the log and in the metrics."""

    CLIENT = "client"
    """The client has closed it."""
    NETWORK = "network"
    """The connection was lost without a close."""
    PING = "ping"
    """The client did not answer a ping."""
    SLOW_READER = "slow_reader"
    TOO_MANY = "too_many"
    """The client sent more frames than it may, or more inputs than its room took."""
    PROTOCOL = "protocol"
    """The client broke the rules of WebSocket or of this protocol."""
    MOVED = "moved"
    """The client was told to reconnect, here or at another node."""
    REPLACED = "replaced"
    """A newer connection has the player's seat."""
    NO_PLACE = "no_place"
    """The client's ticket is not good for any place."""
    UNAVAILABLE = "unavailable"
    """Nobody could say whether the client's ticket is good."""
    REFUSED = "refused"
    """The node takes no new clients, or not this one."""
    HANDSHAKE = "handshake"
    """It never became a WebSocket: the request was wrong, late or given up."""
    NODE = "node"
    """The node has cut it, or has met a bug."""


END_OF_CODE = {
    Close.NORMAL: ClientEnd.CLIENT,
    Close.UNSUPPORTED: ClientEnd.PROTOCOL,
    Close.TOO_BIG: ClientEnd.PROTOCOL,
    Close.SERVICE_RESTART: ClientEnd.MOVED,
    Close.TRY_AGAIN_LATER: ClientEnd.UNAVAILABLE,
    Close.NOT_ALLOWED: ClientEnd.REFUSED,
    Close.BROKE_PROTOCOL: ClientEnd.PROTOCOL,
    Close.KICKED: ClientEnd.REFUSED,
    Close.NO_SUCH_PLACE: ClientEnd.NO_PLACE,
    Close.TAKEN_OVER: ClientEnd.REPLACED,
    Close.SLOW_READER: ClientEnd.SLOW_READER,
    Close.TOO_MANY_MESSAGES: ClientEnd.TOO_MANY,
}
"""The cause of an end for each close code that a node sends."""


class ExitCode(enum.IntEnum):
    """The exit codes of the processes."""

    DRAINED = 0
    CRASHED = 1
    USAGE = 2
    CUT = 3
    """The deadline or a second signal cut rooms or clients."""
    INTERRUPTED = 130
    """Ctrl-C ended a command, as is usual in shells; a node drains instead."""
    OUTPUT_CLOSED = 141
    """Nobody reads what a command shows: as is usual in shells, 128 and the number of SIGPIPE."""
