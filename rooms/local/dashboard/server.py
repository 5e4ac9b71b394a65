"""The port of a page that shows many nodes."""

from __future__ import annotations

import trio
from starlette.applications import Starlette

from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.cluster_routes import Leader, cluster_routes, for_known_hosts
from lastcall.runtime.admin.page_files import page_files
from lastcall.runtime.admin.server import AdminPort
from lastcall.runtime.admin.static_files import static_routes


async def serve_page(
    listeners: list[trio.SocketListener],
    leader: Leader,
    auth: AdminAuth,
    *,
    task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves the page, its events and its commands until cancelled.

    A command is authorised by the same rules as at a node's admin port.
    """
    app = Starlette(routes=[*cluster_routes(leader, auth), *static_routes(page_files())])
    app.router.redirect_slashes = False
    port = AdminPort(listeners, for_known_hosts(app, auth), hub=leader.hub)
    await port.serve(task_status=task_status)
