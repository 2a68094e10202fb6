"""Backups taken while a city writes: each is one moment of it, with everything that was acknowledged before; full disks and damage."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from madang.app.archive import read_archive
from madang.app.backup import back_up, restore, verify
from madang.hub.ports import StoreError
from madang.model.change import READING
from madang.stores.sqlite import SqliteStore
from tests.faults.harness import ROOT
from tests.faults.store_writer import SystemClock
from tests.faults.tiny_disk import TinyDisk, needs_tiny_disk

COUNT = 30_000
BACKUPS = 4


class Writer:
    """A process that writes numbered readings and says each number once it is durable."""

    def __init__(self, folder: Path, count: int) -> None:
        command = [sys.executable, "-m", "tests.faults.store_writer", str(folder), "0", str(count)]
        self.acknowledged: set[int] = set()
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip().isdigit():
                self.acknowledged.add(int(line))

    def wait_for(self, count: int) -> None:
        """Until so many are durable."""
        while len(self.acknowledged) < count and self._process.poll() is None:
            self._thread.join(0.01)
        assert len(self.acknowledged) >= count

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def numbers_in(folder: Path) -> tuple[list[int], list[int], int]:
    """(readings in the order of the log, those in the history, where the consumer stands)."""
    store = SqliteStore(folder, SystemClock())
    try:
        with store.read() as read:
            changes = [c for c in read.read_log(0, 10 * COUNT) if c.kind == READING]
            history = [
                int(row.value)
                for n in range(7)
                for row in read.history(f"urn:ngsi-ld:Vehicle:{n}", ["grossWeight"], 0, 2**62, 10 * COUNT)
            ]
            return [int(c.value("grossWeight")) for c in changes], history, read.find_cursor("even")
    finally:
        store.close()


def test_a_backup_under_load_is_one_moment_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "data", COUNT)
    moments = []
    try:
        for n in range(BACKUPS):
            writer.wait_for((n + 1) * COUNT // (2 * BACKUPS))
            before = set(writer.acknowledged)
            back_up(tmp_path / "data", tmp_path / f"{n}.backup")
            moments.append((before, len(writer.acknowledged)))
        assert len(writer.acknowledged) < COUNT, "all was written before the last backup: write more"
    finally:
        writer.close()
    for n, (before, after) in enumerate(moments):
        restore(tmp_path / f"{n}.backup", tmp_path / f"restored-{n}")
        logged, history, consumed = numbers_in(tmp_path / f"restored-{n}")
        assert before <= set(logged), "acknowledged before it began, and not in it"
        assert len(logged) == len(set(logged)) <= after + 2_000  # 2,000: one group may be durable and not told yet
        assert logged == list(range(len(logged))), "a later reading is in it and an earlier one is not"
        assert sorted(history) == logged, "log and history are of two moments"
        assert consumed <= 2 * len(logged)


def test_what_a_killed_backup_left_goes_with_the_next(tmp_path: Path) -> None:
    data = tmp_path / "data"
    SqliteStore(data, SystemClock()).close()
    left = data / ".backup-killed"
    (left / "files").mkdir(parents=True)
    (left / "files" / "default.db").write_bytes(b"half")
    manifest = back_up(data, tmp_path / "a.backup")
    assert [part.path for part in manifest.parts] == ["default.db"]
    assert sorted(p.name for p in data.iterdir()) == ["default.db", "lock"]


@needs_tiny_disk
def test_a_full_disk_leaves_no_half_backup(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = SqliteStore(data, SystemClock())
    noise = random.Random(1).randbytes(3_000_000)
    store.write(lambda tx: tx.put_quarantine("s", tx.now, "code", "", "", noise)).result(10)
    store.close()
    with TinyDisk(tmp_path, 1) as disk:
        command = [sys.executable, "-m", "madang.app.cli", "backup", str(disk.inside / "a.backup"), "--data", str(data)]
        done = disk.run(command, ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _, said = done.communicate(timeout=60)
        assert done.returncode == 1
        assert "No space left on device" in said and "Traceback" not in said, said
        assert list(disk.outside.iterdir()) == []
    assert sorted(p.name for p in data.iterdir()) == ["default.db", "lock"]


def test_a_damaged_byte_is_found_or_does_no_harm(tmp_path: Path) -> None:
    """Some hundred places over the file. A byte that packing did not need (a date) may change: the data is the same."""
    data = tmp_path / "data"
    store = SqliteStore(data, SystemClock())
    store.write(lambda tx: tx.put_quarantine("s", tx.now, "code", "", "", b"canary" * 1000)).result(10)
    store.close()
    whole = tmp_path / "whole.backup"
    back_up(data, whole)
    body = whole.read_bytes()
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    with whole.open("rb") as file:
        read_archive(file, unpacked)
    good = (unpacked / "default.db").read_bytes()
    damaged = tmp_path / "damaged.backup"
    found = 0
    for at in range(0, len(body), max(1, len(body) // 120)):
        damaged.write_bytes(body[:at] + bytes([body[at] ^ 0x40]) + body[at + 1 :])
        try:
            restore(damaged, tmp_path / "restored")
        except StoreError:
            assert not (tmp_path / "restored").exists()
            found += 1
            continue
        assert (tmp_path / "restored" / "default.db").read_bytes() == good
        for path in sorted((tmp_path / "restored").rglob("*"), reverse=True):
            path.unlink()
        (tmp_path / "restored").rmdir()
    assert found > 80
    for length in (0, 1, 17, len(body) // 2, len(body) - 1):
        damaged.write_bytes(body[:length])
        with pytest.raises(StoreError):
            verify(damaged)
    assert [p.name for p in tmp_path.glob(".restore-*")] == []
