"""The image of a surviving room that runs on another node, kept up by its steps."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from lastcall.core.room.image_copy import ImageCopy
from lastcall.errors import ImageRefused, RemoteProtocolError
from lastcall.host.codec import KindCodec
from lastcall.host.images import restore
from lastcall.host.room_state import RoomHost
from lastcall.ids import KindName
from lastcall.wire.images import Image, decode_image
from lastcall.wire.steps import decode_step


class StandbyCopy:
    """One room's image; it ages in trio's time."""

    __slots__ = ("_copy",)

    def __init__(self, image: Image) -> None:
        self._copy = ImageCopy(image, trio.current_time())

    @classmethod
    def from_image(
        cls, data: bytes, codecs: Mapping[KindName, KindCodec], host: RoomHost
    ) -> StandbyCopy:
        """The copy of an encoded image; raises :class:`ImageRefused` for one that this node's code
        cannot read. All of it is decoded, once, and what ``host`` could not run is refused.
        """
        try:
            image = decode_image(data)
        except RemoteProtocolError as error:
            raise ImageRefused(str(error)) from error
        codec = codecs.get(image.kind)
        if codec is None or not codec.kind.survives:
            raise ImageRefused(f"this node has no kind {image.kind!r} that survives")
        restore(host, codec, image)
        return cls(image)

    @property
    def kind(self) -> KindName:
        """The room's kind."""
        return self._copy.kind

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return self._copy.size

    def apply(self, step: bytes) -> None:
        """The room has made ``step``; raises :class:`RemoteProtocolError` for one that cannot be
        read, and changes nothing then.
        """
        self._copy.apply(decode_step(step), trio.current_time())

    def image(self) -> Image:
        """The room's image as of now, to be run here."""
        return self._copy.image(trio.current_time())
