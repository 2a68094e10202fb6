"""The lock of a data folder: one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import Any

from madang.hub.ports import StoreLocked


def lock_folder(folder: Path) -> Any:
    """Hold the data folder until the result is closed. The kernel lets go when the process ends, however it ends.

    Raises StoreLocked with who holds it.
    """
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StoreLocked(
            f"another Madang (process {holder}) holds {folder}: stop it, or choose another folder with --data"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
