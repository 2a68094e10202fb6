"""`madang demo` on an empty database: the city comes up, trucks drive, a restart (in another folder) goes on where it stopped."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest

from madang.app.demo import STORY_KIND, _load_story
from madang.app.settings import Settings
from madang.hub.ports import StoreError
from tests.repo.tree import ROOT
from tests.stores.any_store import shared_cluster
from tests.stores.kit import T0, ManualClock, reading

UP_S = 180.0


class Demo:
    """A running sample city."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._log = folder / "log"
        command = [sys.executable, "-m", "madang.app.cli", "demo", "--data", str(folder / "data"), "--store", url]
        command += ["--port", "0", "--mqtt-port", "0", "--trucks", "4"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        until = time.monotonic() + UP_S
        while (found := re.search(r"Madang is up: +(http://\S+?/)", self._log.read_text())) is None:
            assert self._process.poll() is None and time.monotonic() < until, self._log.read_text()
            time.sleep(0.1)
        self._url = found[1]

    def ask(self, path: str) -> tuple[int, bytes]:
        """With a token that the command line made."""
        token = subprocess.run(
            [sys.executable, "-m", "madang.app.cli", "token", f"t{time.time_ns()}", "--role", "admin",
             "--data", str(self._folder / "data")],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout.split()[-1]  # fmt: skip
        request = urllib.request.Request(self._url + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()

    def stop(self) -> None:
        """It must end by itself."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0, self._log.read_text()

    def close(self) -> None:
        """Leave nothing running."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


def look(url: str) -> dict[str, Any]:
    """What stands in the tables, read apart from the store's own code."""
    with psycopg.connect(url) as db:
        db.execute("SET search_path TO madang_default")
        row = db.execute(
            "SELECT (SELECT seq FROM log_head), (SELECT recorded_at FROM log_head),"
            " (SELECT count(*) FROM entity WHERE type = 'Vehicle'), (SELECT convert_from(body, 'UTF8') FROM document"
            " WHERE kind = %s)", (STORY_KIND,),
        ).fetchone()  # fmt: skip
    assert row is not None
    return {"seq": row[0], "at": row[1], "vehicles": row[2], "story": json.loads(row[3])}


def test_the_sample_city_lives_in_a_database(tmp_path: Path) -> None:
    cluster = shared_cluster()
    with cluster.connect("postgres") as db:
        db.execute("CREATE DATABASE sample TEMPLATE template0")
    url = cluster.url("sample")
    demo = Demo(tmp_path / "one", url)
    try:
        status, page = demo.ask("")
        assert status == 200 and b"<html" in page.lower()
        status, body = demo.ask("ngsi-ld/v1/entities?type=Vehicle&limit=100")
        assert (status, len(json.loads(body))) == (200, 4)
        filled = look(url)
        until = time.monotonic() + 60
        while look(url)["seq"] <= filled["seq"] + 4:  # trucks send, or time goes on
            assert time.monotonic() < until, "the city stands still"
            time.sleep(0.2)
        demo.stop()
    finally:
        demo.close()
    before = look(url)
    assert before["story"]["filled"] is True and before["vehicles"] == 4
    demo = Demo(tmp_path / "two", url)
    try:
        until = time.monotonic() + 60
        while look(url)["seq"] <= before["seq"] + 4:
            assert time.monotonic() < until, "the city stands still after its restart"
            time.sleep(0.2)
        demo.stop()
    finally:
        demo.close()
    after = look(url)
    # Not filled in again: that takes more than a thousand changes, and log time goes on from where it was.
    assert after["story"] == before["story"] and after["seq"] < before["seq"] + 500 and after["at"] >= before["at"]


def test_a_database_with_another_city_is_left_alone(tmp_path: Path) -> None:
    cluster = shared_cluster()
    store = cluster.make(tmp_path, ManualClock())
    store.write(lambda tx: tx.append_reading(reading(T0, 1.0), "s", T0)).result(5)
    store.close()
    settings = Settings(data=tmp_path, store=cluster.database_of(tmp_path))
    with pytest.raises(StoreError, match="another city"):
        _load_story(settings, 1, 4, 4.0)
