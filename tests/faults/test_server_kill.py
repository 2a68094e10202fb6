"""SIGKILL under load at random seeded moments: every acknowledged reading stored exactly once, findings equal to an undisturbed run.

Devices keep what was not acknowledged and send it again, so at the end exactly what they sent must be there, once. Findings are counted
by hand from the payloads, and the log is run again through fresh detectors without a kill. The sector's own rules are held to the
same by trucks that dump: what the killed server found is what an undisturbed one finds.
"""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from madang.model.time import DAY
from tests.faults.dumps import CYCLE, MOVED_KG, make_dumping, registration
from tests.faults.harness import ServerProcess, Stored, drive, drive_and_kill, make_devices, now
from tests.faults.soak import note_run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server on an empty folder, not started yet."""
    process = ServerProcess(tmp_path / "data")
    yield process
    process.close()


def kill_and_examine(server: ServerProcess, seed: int, kills: int, devices_n: int, messages: int, gap_s: float) -> int:
    """One whole run; gives the kills that fell into it."""
    first_at = now() - 6 * DAY
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
    repeats = sum(device.repeats for device in devices)
    assert repeats > 0, "no kill met a message on its way"
    note_run("server", seed, kills=done, messages=devices_n * messages, repeats=repeats)
    return done


@pytest.mark.parametrize("seed", [1, 2])
def test_kill(server: ServerProcess, seed: int) -> None:
    kill_and_examine(server, seed, kills=4, devices_n=8, messages=1_000, gap_s=0.002)


def told_of(server: ServerProcess) -> tuple[dict[str, tuple[object, ...]], list[tuple[object, ...]]]:
    """What a stopped server's manure rules left: derived events by id (without when they were recorded), and the findings in order."""
    stored = Stored(server.data)
    try:
        stored.assert_replay_finds_the_same(stored.manure_detectors())
        return stored.derived_events(), stored.findings_told("manure.")
    finally:
        stored.close()


@pytest.mark.parametrize("seed", [3])
def test_kill_with_the_rules_of_the_sector(tmp_path: Path, seed: int) -> None:
    kill_and_compare(tmp_path, seed, kills=4, devices_n=5, cycles=4, gap_s=0.005)


def kill_and_compare(folder: Path, seed: int, kills: int, devices_n: int, cycles: int, gap_s: float) -> None:
    """The same trucks through a server that is killed and through one that is left alone."""
    first_at = now() - 6 * DAY
    results = []
    repeats = 0
    for name in ("killed", "undisturbed"):
        devices = make_dumping(devices_n, cycles, first_at, gap_s)
        server = ServerProcess(folder / name)
        try:
            server.start()
            server.upsert([registration(device.client_id) for device in devices])
            if name == "killed":
                done = asyncio.run(drive_and_kill(devices, server, random.Random(seed), kills, (0.2, 1.5)))
                assert done == kills, f"only {done} of {kills} kills fell into the load: send more"
                repeats = sum(device.repeats for device in devices)
            else:
                asyncio.run(drive(devices, server))
            server.wait_settled()
            server.stop()
        finally:
            server.close()
        results.append(told_of(server))
    assert results[0] == results[1]
    _, findings = results[0]
    for device in devices:
        vehicle = f"urn:ngsi-ld:Vehicle:{device.client_id}"
        by_rule: dict[str, dict[str, float]] = {}
        for rule, situation, subject, _, amount in findings:
            if subject == vehicle:
                by_rule.setdefault(str(rule), {})[str(situation)] = float(str(amount))
        assert {rule: len(found) for rule, found in by_rule.items()} == {"manure.D1": cycles, "manure.D4": 2 * cycles}
        # Told last, an amount is within 3 standard errors of ten samples a side with 1 % noise of 20 t.
        assert all(abs(kg - MOVED_KG) < 300 for found in by_rule.values() for kg in found.values()), by_rule
    note_run("server with the sector's rules", seed, kills=kills, messages=devices_n * cycles * CYCLE, repeats=repeats)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(200, 203))
def test_kill_with_the_rules_of_the_sector_long(tmp_path: Path, seed: int) -> None:
    kill_and_compare(tmp_path, seed, kills=12, devices_n=8, cycles=12, gap_s=0.006)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_kill_long(server: ServerProcess, seed: int) -> None:
    """Ten runs of twelve kills: the hundred of `make soak`."""
    kill_and_examine(server, seed, kills=12, devices_n=12, messages=6_000, gap_s=0.003)
