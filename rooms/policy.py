"""Settings: frozen values with their units in their names, checked when they are made."""

from __future__ import annotations

import msgspec

from lastcall.errors import UsageError
from lastcall.limits import KIB, MIB, Limits

__all__ = [
    "DrainPolicy",
    "HandOffPolicy",
    "LinkPolicy",
    "RoomPolicy",
    "SocketPolicy",
    "SurvivalPolicy",
]


class DrainPolicy(msgspec.Struct, frozen=True):
    """How long a node may take from the signal to its end.

    ``grace_seconds`` is the whole budget. The cut comes ``farewell_seconds`` before its end, the
    lame duck (doors still open while balancers learn by polling) is its beginning, and clients
    that are moved are spread over ``spread_seconds``, clipped to what is left.
    """

    grace_seconds: float = 25.0
    lame_duck_seconds: float = 0.0
    farewell_seconds: float = 3.0
    spread_seconds: float = 5.0

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if not 0 <= getattr(self, field) < float("inf"):
                name = field.removesuffix("_seconds").replace("_", "-")
                raise UsageError(
                    f"--{name} is {getattr(self, field)}; it takes a finite number of seconds, "
                    "0 or more"
                )
        if self.farewell_seconds + self.lame_duck_seconds >= self.grace_seconds:
            raise UsageError(
                f"--farewell {self.farewell_seconds:g} and --lame-duck {self.lame_duck_seconds:g} "
                f"leave nothing of --grace {self.grace_seconds:g}: their sum must be below it"
            )

    @property
    def cut_seconds(self) -> float:
        """From the signal to the cut."""
        return self.grace_seconds - self.farewell_seconds


class LinkPolicy(msgspec.Struct, frozen=True):
    """The timing and the bounds of a link between an api and a game node.

    Items wait in the ring of their link until the api node confirms them. Each link may have
    ``ring_items`` and ``ring_bytes`` waiting, whatever waits for others. Beyond that, the link is
    reset if nothing is confirmed for ``silence_seconds``, or at once when more than
    ``ring_items_max`` or ``ring_bytes_max`` wait, or more than the node has memory for: the items
    of all links beyond these shares take at most ``rings_excess_bytes``, in which a message to
    players of many api nodes counts once. The transport may have a copy of all that waits.
    ``batch_bytes`` bounds one request, one reply's repair and one feed message; an api node
    confirms at once when ``confirm_bytes`` have arrived.

    A game node that is listed and cannot be reached may have any place for ``lost_seconds``, and
    one whose ticket names it for ``hinted_seconds``: as long as it keeps a seat by default.
    """

    heartbeat_seconds: float = 0.5
    repair_seconds: float = 0.02
    probe_seconds: float = 0.25
    silence_seconds: float = 3.0
    lost_seconds: float = 6.0
    hinted_seconds: float = 30.0
    stall_seconds: float = 0.5
    batch_bytes: int = 256 * KIB
    ring_items: int = 65_536
    ring_bytes: int = 32 * MIB
    ring_items_max: int = 262_144
    ring_bytes_max: int = 128 * MIB
    rings_excess_bytes: int = 256 * MIB
    confirm_bytes: int = 4 * MIB
    resumes_at_once: int = 32
    """Each may bring a whole history on the feed: more at once would fill the ring's share."""
    renewals_at_once: int = 512
    """Of places whose rooms have moved, or survived: their clients miss little. A request with
    that many holds the game node's loop for about 20 ms."""


class HandOffPolicy(msgspec.Struct, frozen=True):
    """The pace and the bounds of rooms that move from one game node to another.

    Of the rooms that a node gives away, up to ``rooms_at_once`` leave at a time: as few as it takes
    so that each waits for about ``wait_seconds`` behind others. A room that does not rest, or is
    not confirmed, makes way for others after ``answer_seconds``. Those that are frozen or asked for
    have images of ``bytes_at_once`` together, or one that is larger. Up to ``takers_max`` nodes are
    asked for a room, each for ``answer_seconds``. A node that took one must confirm within
    ``release_seconds`` that it runs there.

    A node holds an image for at most ``hold_seconds``, longer than its giver may take to decide. An
    image has at most ``image_bytes``, and those that have not come whole or are not decoded yet
    have ``images_bytes`` together. ``released_max`` rooms are remembered, for givers that ask
    again.
    """

    rooms_at_once: int = 16
    wait_seconds: float = 0.005
    bytes_at_once: int = 4 * MIB
    takers_max: int = 3
    answer_seconds: float = 2.0
    release_seconds: float = 30.0
    hold_seconds: float = 60.0
    image_bytes: int = 32 * MIB
    images_bytes: int = 128 * MIB
    released_max: int = 65_536


class SurvivalPolicy(msgspec.Struct, frozen=True):
    """The bounds of the images that one node keeps of rooms that run on other nodes.

    They take at most ``copies_bytes`` of memory, and one that comes has at most ``image_bytes``.
    A room repeats its open requests every ``again_seconds``, and asks nodes that have refused its
    image every ``refused_seconds``. An image whose room nobody asks for is kept for
    ``idle_seconds`` after its node was heard last: then this node tries to run the room, and
    forgets it if it may not.
    """

    copies_bytes: int = 256 * MIB
    image_bytes: int = 32 * MIB
    again_seconds: float = 1.0
    refused_seconds: float = 15.0
    idle_seconds: float = 60.0


class RoomPolicy(msgspec.Struct, frozen=True):
    """The bounds of one room. A full inbox blocks the room's players; nothing is dropped.

    Of the ``inbox_events``, the inputs of one player take at most :attr:`share_events`. The answer
    to a join lists at most ``listed_players`` players, the new one included. A room without
    players is given up after ``empty_seconds``.

    A room remembers its last messages: at most ``history_messages``, and ``history_bytes``. The
    seat of a player whose socket is lost is kept for ``resume_seconds`` (a kind may set all three);
    the room gets ``Away`` after ``away_seconds``. While the node drains, or if the player has never
    confirmed the seat, it is kept for at most ``drain_grace_seconds``. The last messages of ended
    rooms are kept as long, for players who were between two sockets: of at most
    ``ended_rooms_max`` rooms with ``ended_rooms_bytes`` together; the oldest are dropped first.

    The state of a room, encoded, may have ``state_bytes``; see ``@room(state=…)``. The images of
    rooms that come from other nodes take at most ``adopted_bytes`` until they run.

    A request for a seat that another live socket has waits for ``takeover_seconds`` if it may be
    older than that socket. In this time a living api node cancels a request that nobody waits for,
    which takes it milliseconds, or as long as a loaded machine pauses. The time must be shorter
    than that of a join (``SocketPolicy.join_seconds``).
    """

    inbox_events: int = 256
    message_bytes: int = 256 * KIB
    listed_players: int = 64
    empty_seconds: float = 60.0
    history_messages: int = 1024
    history_bytes: int = 256 * KIB
    state_bytes: int = 256 * KIB
    adopted_bytes: int = 64 * MIB
    resume_seconds: float = 30.0
    away_seconds: float = 2.0
    drain_grace_seconds: float = 5.0
    takeover_seconds: float = 0.5
    ended_rooms_max: int = 10_000
    ended_rooms_bytes: int = 64 * MIB
    limits: Limits = Limits()

    @property
    def share_events(self) -> int:
        """How many inputs of one player may wait in the inbox."""
        return max(16, self.inbox_events // 4)


class SocketPolicy(msgspec.Struct, frozen=True):
    """The timing and the bounds of one client's socket.

    ``backlog_bytes`` may wait for each client that does not read yet, more than any room's history.
    Beyond that, a client that reads nothing for ``stalled_seconds`` is closed with 4100, and so is
    one for which more than ``backlog_bytes_max`` wait, or more than the node has memory for: what
    waits beyond ``backlog_bytes`` for all clients together takes at most ``excess_bytes``, in which
    a message to many counts once. Before a socket is closed it has ``flush_seconds`` to read what
    waits, as long as it reads something every ``close_seconds``; after 4100 it has them anyway.

    ``unacked_inputs`` and ``unacked_bytes`` bound what is said but not yet in the room's inbox:
    beyond them the socket is not read, and closed with 4101 after ``blocked_seconds``.
    How much a client says is bounded by ``limits`` even where the room takes it all. A resume whose
    place is not found yet is sought for ``resume_seconds``, then 1013. Acks go to a client
    ``ack_seconds`` after the room's at the latest.
    """

    handshake_seconds: float = 5.0
    frame_bytes: int = 64 * KIB
    backlog_bytes: int = 1 * MIB
    backlog_bytes_max: int = 32 * MIB
    excess_bytes: int = 256 * MIB
    stalled_seconds: float = 10.0
    flush_seconds: float = 5.0
    ping_seconds: float = 20.0
    pong_seconds: float = 10.0
    beat_seconds: float = 10.0
    close_seconds: float = 0.5
    join_seconds: float = 1.0
    unacked_inputs: int = 64
    unacked_bytes: int = 256 * KIB
    blocked_seconds: float = 5.0
    options_bytes: int = 4 * KIB
    resume_seconds: float = 3.0
    ack_seconds: float = 0.05
    half_open_share: float = 0.125
    limits: Limits = Limits()

    @property
    def max_connections(self) -> int:
        """Clients and those who are not yet, or no more, in all; beyond it a socket is closed."""
        clients = self.limits.sockets
        return clients + max(16, int(clients * self.half_open_share))
