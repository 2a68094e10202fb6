"""The local socket of a running server: how the command line writes while the server holds the data folder.

A Unix socket in the data folder, open to the folder's owner alone. One JSON object a line in, one out.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

SOCKET_NAME = "control.sock"
LINE_MAX = 64 * 1024
"""Bytes of one request."""

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class NoServer(Exception):
    """No server runs on this data folder."""


@contextlib.contextmanager
def _short_path(folder: Path) -> Any:
    """A path to the socket that fits into the 108 bytes of a Unix address, however deep the folder lies."""
    direct = str(folder / SOCKET_NAME)
    if len(direct.encode()) < 100 or not Path("/proc/self/fd").exists():
        yield direct
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


async def serve_control(folder: Path, handlers: dict[str, Handler]) -> asyncio.AbstractServer:
    """Listen. A leftover of a killed server is removed first: the caller holds the folder's lock."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            reply = await _handle(line, handlers)
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, asyncio.LimitOverrunError, ValueError):
            pass  # the asker went away or sent a line without end
        finally:
            writer.close()

    (folder / SOCKET_NAME).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_path(folder) as path:
        listening.bind(path)
    (folder / SOCKET_NAME).chmod(0o600)
    return await asyncio.start_unix_server(answer, sock=listening, limit=LINE_MAX)


async def _handle(line: bytes, handlers: dict[str, Handler]) -> dict[str, Any]:
    try:
        request = json.loads(line)
        handler = handlers[request["command"]]
    except (ValueError, KeyError, TypeError):
        return {"error": f"unknown command; known: {', '.join(sorted(handlers))}"}
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001 - the error belongs to the asker on the other end of the socket
        return {"error": f"{error}" or type(error).__name__}


def ask_server(folder: Path, request: dict[str, Any], timeout_s: float = 20.0) -> dict[str, Any]:
    """Ask the server on this data folder. Raises NoServer when none runs, RuntimeError with the server's reason when it refuses."""
    if not (folder / SOCKET_NAME).exists():
        raise NoServer(f"no server runs on {folder}")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    with connection, _short_path(folder) as path:
        try:
            connection.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            raise NoServer(f"no server runs on {folder}") from None
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as file:
            reply: dict[str, Any] = json.loads(
                file.readline(LINE_MAX) or b'{"error": "the server closed the connection"}'
            )
    if "error" in reply:
        raise RuntimeError(str(reply["error"]))
    return reply
