"""A file system of a few megabytes for one process, as root or not: a tmpfs in a mount namespace of its own.

Root needs `unshare -m`; others a user namespace (`unshare -rm`), which most kernels allow. Where neither works the tests say so and
skip. The process sees the disk at `inside`; the test reaches it through /proc/<pid>/root.
"""

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest


def _unshare() -> list[str] | None:
    for flags in (["-m"], ["-rm"]):
        command = ["unshare", *flags, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
        if shutil.which("unshare") and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return ["unshare", *flags]
    return None


UNSHARE = _unshare()
needs_tiny_disk = pytest.mark.skipif(UNSHARE is None, reason="needs Linux mount namespaces (unshare) for a tiny disk")


class TinyDisk:
    """A context: the namespace lives as long as the shell that holds it open."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.inside = folder / "tiny"
        self.inside.mkdir()
        script = f'mount -t tmpfs -o size={megabytes}m tmpfs "$0" && echo ready && exec sleep 600'
        assert UNSHARE is not None
        command = [*UNSHARE, "sh", "-c", script, str(self.inside)]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.enter = [
            "nsenter",
            "-t",
            str(self._holder.pid),
            *(["-U", "--preserve-credentials"] if "-rm" in UNSHARE else []),
            "-m",
        ]

    @property
    def outside(self) -> Path:
        """The disk as other processes reach it."""
        return Path(f"/proc/{self._holder.pid}/root{self.inside}")

    def command(self, command: list[str], cwd: Path) -> list[str]:
        """The command, run so that it sees the disk."""
        return [*self.enter, "sh", "-c", 'cd "$0" && exec "$@"', str(cwd), *command]

    def run(self, command: list[str], cwd: Path, **options: Any) -> "subprocess.Popen[Any]":
        """Start a command that sees the disk."""
        return subprocess.Popen(self.command(command, cwd), **options)

    def resize(self, megabytes: int) -> None:
        """Make room, or take it."""
        mount = ["mount", "-o", f"remount,size={megabytes}m", str(self.inside)]
        subprocess.run([*self.enter, *mount], check=True, capture_output=True)

    def copy_out(self, target: Path) -> Path:
        """A copy of what is on the disk, for looking at after it is gone."""
        shutil.copytree(self.outside, target, ignore=shutil.ignore_patterns("*.sock"))
        return target

    def __enter__(self) -> "TinyDisk":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
