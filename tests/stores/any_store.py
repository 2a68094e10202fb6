"""The store that tests run on which are not about a store: SQLite, or with ``MADANG_TEST_STORE=postgres`` a schema in the run's
own cluster.

`make test` runs the hub's and the API's tests on both.
"""

import atexit
import os
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from madang.hub.ports import Clock, Store
from madang.stores.sqlite import SqliteStore

VARIABLE = "MADANG_TEST_STORE"


@cache
def shared_cluster() -> Any:
    """The cluster of this run, without fsync; it ends with the process. Skips where there is none."""
    from tests.stores.cluster import open_cluster

    stack = ExitStack()
    cluster = stack.enter_context(open_cluster())
    atexit.register(stack.close)
    return cluster


def open_any(folder: Path, clock: Clock, *, durable: bool = False) -> Store:
    """A store that belongs to a folder: asked again for the same folder, it opens the same data."""
    chosen = os.environ.get(VARIABLE, "sqlite")
    if chosen == "postgres":
        store: Store = shared_cluster().make_tenant(folder, clock)
        return store
    assert chosen == "sqlite", f"{VARIABLE} is sqlite or postgres, not {chosen!r}"
    return SqliteStore(folder, clock, durable=durable)
