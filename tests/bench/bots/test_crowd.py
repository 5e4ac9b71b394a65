from functools import partial

import pytest
import trio

from lastcall.api.socket.frame_builder import close_frame, text_frame
from lastcall.bench.bots.crowd import open_crowd, wait_until
from lastcall.bench.load.messages import LoadFailed
from lastcall.wire import frames

MOVE = text_frame(frames.encode(frames.Move(2.0)))


@pytest.mark.parametrize("sent", [MOVE + close_frame(1012), close_frame(1012)])
async def test_a_moved_bot_fails_a_run_in_which_no_move_is_expected(sent: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + sent)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listen = partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
        (listener,) = await nursery.start(listen)
        port = listener.socket.getsockname()[1]
        async with open_crowd([f"ws://127.0.0.1:{port}/"]) as crowd:
            crowd.check_undisturbed()
            await crowd.connect(1)
            await wait_until(lambda: bool(crowd.losses), 5.0)

            with pytest.raises(LoadFailed, match="1 sockets lost"):
                crowd.check_undisturbed()
        nursery.cancel_scope.cancel()
