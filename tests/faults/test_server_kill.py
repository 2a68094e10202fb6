"""SIGKILL under load at random seeded moments: every acknowledged reading stored exactly once, findings equal to an undisturbed run.

Devices keep what was not acknowledged and send it again, so at the end exactly what they sent must be there, once. Findings are counted
by hand from the payloads, and the log is run again through fresh detectors without a kill.
"""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from madang.model.time import HOUR
from tests.faults.harness import ServerProcess, Stored, drive_and_kill, make_devices, now


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server on an empty folder, not started yet."""
    process = ServerProcess(tmp_path / "data")
    yield process
    process.close()


def kill_and_examine(server: ServerProcess, seed: int, kills: int, devices_n: int, messages: int, gap_s: float) -> int:
    """One whole run; gives the kills that fell into it."""
    first_at = now() - 24 * HOUR
    devices = make_devices(devices_n, messages, first_at, gap_s)
    server.start()
    done = asyncio.run(drive_and_kill(devices, server, random.Random(seed), kills, (0.1, 1.2)))
    assert all(device.done for device in devices)
    server.wait_settled()
    server.assert_console_opens()
    server.stop()
    stored = Stored(server.data)
    try:
        stored.assert_stored_once(devices, first_at)
        stored.assert_findings_counted(devices)
        stored.assert_replay_finds_the_same()
    finally:
        stored.close()
    assert done == kills, f"only {done} of {kills} kills fell into the load: send more"
    assert sum(device.repeats for device in devices) > 0, "no kill met a message on its way"
    return done


@pytest.mark.parametrize("seed", [1, 2])
def test_kill(server: ServerProcess, seed: int) -> None:
    kill_and_examine(server, seed, kills=4, devices_n=8, messages=1_000, gap_s=0.002)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_kill_long(server: ServerProcess, seed: int) -> None:
    """Ten runs of twelve kills: the hundred of `make soak`."""
    kill_and_examine(server, seed, kills=12, devices_n=12, messages=6_000, gap_s=0.003)
