"""What leaves through the HTTP server's socket, where a test client would hide it."""

import asyncio
import socket
from typing import Any

import uvicorn

from madang.api.dispatch import start_headers


async def test_location_keeps_its_capital() -> None:
    """RFC 9110, 5.1: any case is right; 10.2.2 and ETSI GS CIM 009 (6.4.3.1) write it so, and clients that compare names look for that."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = start_headers("", (("Location", "/x/1"), ("NGSILD-Results-Count", "1")))
        await send({"type": "http.response.start", "status": 201, "headers": [*headers, (b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", http="httptools"))  # type: ignore[arg-type]
    task = asyncio.create_task(server._serve([listening]))
    try:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        head = (await asyncio.wait_for(reader.read(), 5)).split(b"\r\n\r\n")[0].split(b"\r\n")
        writer.close()
    finally:
        server.should_exit = True
        await task
    assert b"Location: /x/1" in head and b"ngsild-results-count: 1" in head
