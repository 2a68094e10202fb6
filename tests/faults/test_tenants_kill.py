"""SIGKILL of a server with tenants: what was acknowledged in each is there, and what is due is told without anybody naming the tenant."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from madang.app.backup import back_up, restore
from tests.faults.harness import ServerProcess
from tests.repo.tree import ROOT

WITHIN_S = 30.0
TENANTS = ("alpha", "Beta")


def test_tenants_go_on_after_a_kill(tmp_path: Path) -> None:
    heard: list[tuple[str | None, str]] = []
    refusing = threading.Event()
    refusing.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not refusing.is_set():
                heard.extend((self.headers["NGSILD-Tenant"], entity["id"]) for entity in body["data"])
            self.send_response(503 if refusing.is_set() else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    server = ServerProcess(tmp_path / "data", "allow-private")

    def ask(path: str, tenant: str | None, document: Any = None, **headers: str) -> tuple[int, bytes]:
        headers |= {} if tenant is None else {"NGSILD-Tenant": tenant}
        method, body = ("GET", None) if document is None else ("POST", json.dumps(document).encode())
        return server.request(
            f"/ngsi-ld/v1{path}", method=method, body=body, **{"Content-Type": "application/json", **headers}
        )

    try:
        server.start()
        for tenant in (*TENANTS, None):
            told = {"id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Room"}],
                    "notification": {"endpoint": {"uri": f"http://127.0.0.1:{receiver.server_port}/n"}}}  # fmt: skip
            assert ask("/subscriptions", tenant, told)[0] == 201
            assert ask("/entities", tenant, {"id": f"urn:room:{tenant}", "type": "Room", "n": 1})[0] == 201
        time.sleep(0.5)  # They are due, and refused.
        server.kill()
        refusing.clear()
        server.start()
        expected = {(tenant, f"urn:room:{tenant}") for tenant in (*TENANTS, None)}
        until = time.monotonic() + WITHIN_S
        while set(heard) != expected and time.monotonic() < until:
            time.sleep(0.05)
        assert set(heard) == expected
        for tenant in (*TENANTS, None):
            assert ask(f"/entities/urn:room:{tenant}", tenant)[0] == 200
            assert ask("/entities/urn:room:Beta", tenant)[0] == (200 if tenant == "Beta" else 404)
        token = command(tmp_path, "token", "kim", "--role", "officer", "--tenant", "alpha").stdout.strip()
        own = {"Authorization": f"Bearer {token}"}
        assert [ask("/types", tenant, **own)[0] for tenant in ("alpha", "Beta", None)] == [200, 403, 403]
        told_of = command(tmp_path, "doctor").stdout
        assert "tenant alpha: sound" in told_of and "tenant Beta: sound" in told_of and "2 open: Beta, alpha" in told_of
        status, metrics = server.get("/metrics")
        assert status == 200 and b"madang_tenants_open 2.0" in metrics
        back_up(tmp_path / "data", tmp_path / "city.backup")  # while it runs
        server.stop()
        restore(tmp_path / "city.backup", tmp_path / "again")
    finally:
        server.close()
    server = ServerProcess(tmp_path / "again", "allow-private")
    try:
        server.start()
        kim = server.request("/ngsi-ld/v1/entities/urn:room:alpha", **own, **{"NGSILD-Tenant": "alpha"})
        assert kim[0] == 200, "tenants and tokens are in the backup"
        server.stop()
    finally:
        server.close()
        receiver.shutdown()
        receiver.server_close()


def command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    run = [sys.executable, "-m", "madang.app.cli", *arguments, "--data", str(folder / "data")]
    return subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
