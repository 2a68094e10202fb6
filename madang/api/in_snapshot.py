"""Requests that are about a snapshot instead of what is now (ETSI GS CIM 009 clauses 5.5.15, 6.3.22): the header NGSILD-Snapshot.

The one place where it is looked at. A snapshot is frozen: it can be read, and nothing is changed in it.
"""

from typing import Any, cast

from madang.api.errors import Problem
from madang.api.route import Call, Send
from madang.hub.frozen import FrozenRead
from madang.hub.ports import Read
from madang.hub.queries import Past
from madang.ngsild.snapshot import PREPARING

SNAPSHOT_HEADER = "ngsild-snapshot"
_TEMPORAL = "/ngsi-ld/v1/temporal/"


async def look_into_snapshot(call: Call, send: Send) -> Send:
    """Let the call read the snapshot that its header names; gives a `send` that names it in the answer too. Raises Problem (422, 409) and
    NgsiLdError (ResourceNotFound)."""
    id_ = call.headers[SNAPSHOT_HEADER].strip()
    if not call.route.in_snapshot:
        raise Problem(
            422, "not-in-a-snapshot", "A snapshot can be read and queried, nothing else: leave NGSILD-Snapshot out.",
            kind="OperationNotSupported",
        )  # fmt: skip
    snapshots = call.hub.snapshots

    def load() -> Past:
        with call.hub.store.read() as read:
            kept = snapshots.get(read, id_, call.caller)
            if kept.status == PREPARING:
                raise Problem(
                    409, "snapshot-preparing", f"{kept.id} is being prepared: ask again in a moment.", kind="Conflict",
                    headers=(("Retry-After", "1"),),
                )  # fmt: skip
            rows = snapshots.frozen(read, kept)
        # It has what the routes that are let through ask of a store; the rest of `Read` is for other use cases.
        frozen = FrozenRead(rows, evolving=call.route.path.startswith(_TEMPORAL))
        return Past(cast("Read", frozen), kept.created_at)

    call.past = await call.run(load)
    snapshots.touch(id_)

    async def named(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (SNAPSHOT_HEADER.encode(), id_.encode("latin-1"))]
            message = {**message, "headers": headers}
        await send(message)

    return named
