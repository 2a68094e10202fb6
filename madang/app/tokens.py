"""Tokens and source secrets from the command line: through the running server's socket, or on the folder itself when none runs."""

import secrets
from pathlib import Path

from madang.app.clocks import SystemClock
from madang.app.control import NoServer, ask_server
from madang.app.stores import folder_of, is_shared, open_store
from madang.hub.ports import Store
from madang.hub.sources import Sources
from madang.hub.tokens import Tokens
from madang.model.caller import SYSTEM
from madang.model.tenant import DEFAULT_TENANT


def make_token(data: Path, name: str, role: str, party: str | None, at: str = "", tenant: str = DEFAULT_TENANT) -> str:
    """Make a token that works in a tenant. Raises RuntimeError with the reason when the server refuses, ValueError when the folder is
    unused or the names are wrong."""
    request = {"command": "token", "name": name, "role": role, "party": party, "tenant": tenant}
    try:
        return str(ask_server(data, request)["token"])
    except NoServer:
        store = _open(data, at)
    try:
        return Tokens(store, SystemClock(), secrets.token_bytes).create(SYSTEM, name, role, party, tenant=tenant)
    except Exception as error:
        raise RuntimeError(str(error)) from error
    finally:
        store.close()


def new_source_secret(data: Path, source: str, at: str = "") -> str:
    """Give a source another secret. Raises LookupError, RuntimeError."""
    try:
        return str(ask_server(data, {"command": "source-secret", "id": source})["secret"])
    except NoServer:
        store = _open(data, at)
    try:
        return Sources(store, SystemClock(), secrets.token_hex).new_secret(source)
    finally:
        store.close()


def _open(data: Path, at: str) -> Store:
    folder = folder_of(at, data)
    if not is_shared(at) and not (folder / "default.db").exists():
        raise ValueError(
            f"{folder} is not a data folder of Madang: start a server on it first, or name another with --data"
        )
    return open_store(at, data, SystemClock())
