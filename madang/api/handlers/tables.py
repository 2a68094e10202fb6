"""Tables, as pages and as files."""

from collections.abc import Callable
from typing import IO
from urllib.parse import quote

from madang.api.dispatch import start_headers
from madang.api.handlers.entities import question
from madang.api.route import Answer, Call, Send
from madang.hub.queries import exports, tables
from madang.hub.queries.look import Look
from madang.hub.queries.tables import TableFilter

CHUNK = 256 * 1024
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"


async def list_tables(call: Call) -> Answer:
    """GET /api/tables"""
    return Answer(await call.ask(tables.list_tables))


async def get_table(call: Call) -> Answer:
    """GET /api/tables/{type}"""
    return Answer(await call.ask(tables.get_page, _filter(call)))


async def get_csv(call: Call, send: Send) -> None:
    """GET /api/tables/{type}.csv"""
    await _send_file(call, send, exports.write_csv, CSV, "csv")


async def get_xlsx(call: Call, send: Send) -> None:
    """GET /api/tables/{type}.xlsx"""
    await _send_file(call, send, exports.write_xlsx, XLSX, "xlsx")


def _filter(call: Call) -> TableFilter:
    query = call.query
    return TableFilter(
        type=call.path["type"],
        filter=query.get("filter", ""),
        text=query.get("text", ""),
        states=tuple(query.get("state") or ()),
        sort=query.get("sort", ""),
        limit=query.get("limit", 100),
        offset=query.get("offset", 0),
    )


async def _send_file(
    call: Call, send: Send, write: Callable[[Look, TableFilter], IO[bytes]], media_type: str, suffix: str
) -> None:
    """Write the whole selection to a file first, then send it: a mistake still becomes a proper error."""
    asked = _filter(call)
    file = await call.run(question, call, write, asked)
    try:
        size = file.seek(0, 2)
        file.seek(0)
        name = quote(f"{asked.type}.{suffix}")
        headers = start_headers(
            media_type,
            (
                ("Content-Disposition", f"attachment; filename*=UTF-8''{name}"),
                ("Content-Length", str(size)),
            ),
        )
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while chunk := await call.run(file.read, CHUNK):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        file.close()
