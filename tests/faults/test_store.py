"""The store under SIGKILL and on a full disk: what it said is durable is there, once; a consumer's result fits its log.

Expected values are counted from the numbers that the killed process printed, not from the store.
"""

import random
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from madang.model.time import SECOND
from madang.stores.sqlite.store import SqliteStore
from tests.faults.soak import note_run
from tests.faults.store_writer import ENTITIES, T0, SystemClock
from tests.faults.tiny_disk import TinyDisk, needs_tiny_disk
from tests.repo.tree import ROOT

LIMIT = 10_000_000


def start(folder: Path, first: int, count: int, padding: int = 0) -> "subprocess.Popen[str]":
    """The writing process."""
    command = [sys.executable, "-m", "tests.faults.store_writer", str(folder), str(first), str(count), str(padding)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def examine(folder: Path, acknowledged: set[int]) -> set[int]:
    """Assert that every acknowledged number is stored, that nothing is stored twice, and that state, history, log and findings
    tell the same story; gives all numbers that are stored."""
    store = SqliteStore(folder, SystemClock())
    with store.read() as read:
        log = [c for c in read.read_log(0, LIMIT) if c.kind == "reading"]
        logged = [c.value("grossWeight") for c in log]
        rows = [
            int(row.value)
            for e in range(ENTITIES)
            for row in read.history(f"urn:ngsi-ld:Vehicle:{e}", ["grossWeight"], T0, T0 + LIMIT * SECOND, LIMIT)
        ]
        newest = {c.entity_id: c.value("grossWeight") for c in sorted(log, key=lambda c: c.value("grossWeight"))}
        state = {}
        for id_ in newest:
            entity = read.find_entity(id_)
            assert entity is not None
            state[id_] = entity.attributes["grossWeight"]["value"]
        cursor = read.find_cursor("even")
    store.close()
    assert len(logged) == len(set(logged)), "a reading is in the log twice"
    assert sorted(rows) == sorted(logged), "history and log differ"
    assert state == newest, "state is not what the log says last"
    assert acknowledged <= set(logged), f"lost: {sorted(acknowledged - set(logged))[:10]}"
    seqs = [c.seq for c in log]
    assert seqs == sorted(seqs) and all(a.recorded_at <= b.recorded_at for a, b in pairwise(log))
    findings = {c.seq for c in log if c.seq <= cursor and c.value("grossWeight") % 2 == 0}
    assert read_findings(folder) == findings
    return set(logged)


def read_findings(folder: Path) -> set[int]:
    """Sequences of all kept findings, read apart from the store's code."""
    db = sqlite3.connect(folder / "default.db")
    try:
        return {seq for (seq,) in db.execute("SELECT seq FROM finding")}
    finally:
        db.close()


def kill_at_random(folder: Path, seed: int, kills: int, count: int) -> None:
    """Write `count` readings through `kills` SIGKILLs, look at the folder after each, and once more at the end."""
    moments = random.Random(seed)
    acknowledged: set[int] = set()
    for n in range(kills + 1):
        process = start(folder, 0, count)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        if n < kills:
            time.sleep(moments.uniform(0.0, 0.4))
            process.kill()
        words = process.communicate()[0].split()
        acknowledged |= {int(word) for word in words if word.isdigit()}
        if n < kills:
            examine(folder, acknowledged)
    assert words[-1] == "done"
    assert acknowledged == set(range(count))
    assert examine(folder, acknowledged) == set(range(count))
    assert len(read_findings(folder)) == (count + 1) // 2
    note_run("store", seed, kills=kills, messages=count)


@pytest.mark.parametrize("seed", [1, 2])
def test_kill(tmp_path: Path, seed: int) -> None:
    kill_at_random(tmp_path, seed, kills=3, count=12_000)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 15))
def test_kill_long(tmp_path: Path, seed: int) -> None:
    kill_at_random(tmp_path, seed, kills=20, count=120_000)


@needs_tiny_disk
def test_disk_full(tmp_path: Path) -> None:
    """The disk fills under load: nothing more is acknowledged, nothing acknowledged is lost; with room it goes on by itself."""
    with TinyDisk(tmp_path, megabytes=6) as disk:
        command = [sys.executable, "-m", "tests.faults.store_writer", str(disk.inside), "0", "3000", "2000"]
        process = disk.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged: set[int] = set()
        fulls = 0
        for line in process.stdout:
            word = line.strip()
            if word.isdigit():
                acknowledged.add(int(word))
            elif word == "full":
                fulls += 1
                if fulls == 3:
                    before = len(acknowledged)
                    disk.resize(megabytes=200)
            assert not word.startswith("error"), word
        process.stdout.close()
        assert process.wait(30) == 0
        assert fulls >= 3 and 0 < before < 3000
        assert acknowledged == set(range(3000))
        folder = disk.copy_out(tmp_path / "after")
    assert examine(folder, acknowledged) == set(range(3000))
