"""Runs the ETSI NGSI-LD conformance suite (Robot Framework) against a broker without the internet; prints the results as JSON lines.

Runs in the Python of the suite's own requirements, so it imports nothing of Madang:

    python scripts/etsi_suite.py --suite SUITE --broker http://127.0.0.1:PORT --out FOLDER [TP/NGSI-LD/…]

The suite expects the internet and fixed hosts. A copy of it is made in which every outside address leads to a small @context server
here; mosquitto is started where it is installed (eleven tests of notifications over MQTT need it). The suite's own mocks listen on the
ports 8085, 8086, 8087, 8099, 18099 and 59999, the @context server on 8787.
"""

import argparse
import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

CONTEXT_PORT = 8787
LOCAL = f"http://127.0.0.1:{CONTEXT_PORT}"
COMPOUND = "resources/jsonld-contexts/ngsi-ld-test-suite-compound.jsonld"
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
PARTS = ("TP", "IOP_TP", "data", "resources", "libraries")
TEXT = {".robot", ".resource", ".py", ".json", ".jsonld", ".geojson", ".yaml", ".txt"}
ADDED = "extension TP"
"""What the suite's fork writes into the tests that it added to ETSI's."""
FIWARE = {
    "@context": {
        "fiware": "https://uri.fiware.org/ns/data-models#",
        "Store": "fiware:Store",
        "address": "fiware:address",
    }
}


def copy_suite(suite: Path, out: Path, broker: str) -> Path:
    """The suite below `out` with its outside addresses replaced by local ones."""
    copy = out / "suite"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for part in PARTS:
        if (suite / part).is_dir():
            shutil.copytree(suite / part, copy / part)
    swaps = (
        ("https://raw.githubusercontent.com/marek-mraz/ngsi-ld-test-suite/main", f"{LOCAL}/suite"),
        ("https://forge.etsi.org/rep/cim/ngsi-ld-test-suite/-/raw/develop", f"{LOCAL}/suite"),
        (f"https://easy-global-market.github.io/ngsild-api-data-models/ngsildTestSuite/{'ngsildTestSuiteV1.8-compound'}.jsonld",
         f"{LOCAL}/suite/{COMPOUND}"),
        ("https://fiware.github.io/", f"{LOCAL}/fiware/"),
        ("http://localhost:9090", broker),
    )  # fmt: skip
    for path in copy.rglob("*"):
        if path.is_file() and path.suffix in TEXT:
            old = new = path.read_text(encoding="utf-8", errors="surrogateescape")
            for outside, inside in swaps:
                new = new.replace(outside, inside)
            if new != old:
                path.write_text(new, encoding="utf-8", errors="surrogateescape")
    return copy


def serve_contexts(suite: Path) -> None:
    """Serve the suite's @contexts from a thread of this process."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            body = json.dumps(FIWARE).encode() if path.startswith("/fiware/") else None
            if path.startswith("/suite/"):
                file = (suite / path.removeprefix("/suite/")).resolve()
                if file.is_file() and file.is_relative_to(suite.resolve()):
                    body = file.read_bytes()
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/ld+json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", CONTEXT_PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


MOSQUITTO = """#!/bin/sh
# Stands for `docker`: the suite restarts its broker's container with it, and starts mosquitto with or without users.
case "$*" in
  *CONF=mosquitto_with_user.conf*) wanted={out}/users.conf ;;
  *mosquitto*) wanted={out}/anybody.conf ;;
  *) exit 0 ;;
esac
[ "$(cat {out}/mosquitto.running)" = "$wanted" ] && exit 0
kill "$(cat {out}/mosquitto.pid)"
sleep 0.3
{binary} -c "$wanted" >/dev/null 2>&1 &
echo $! > {out}/mosquitto.pid
echo "$wanted" > {out}/mosquitto.running
sleep 0.3
"""


def start_mosquitto(out: Path, docker: Path) -> bool:
    """mosquitto on 1883 and 18885, with what makes `docker` start it anew; False where it is not installed or 1883 is taken."""
    binary = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", 1883)) == 0
    if binary is None or taken:
        return False
    passwords, listeners = out / "mosquitto.passwd", "listener 1883 127.0.0.1\nlistener 18885 127.0.0.1\n"
    passwords.write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "user_with_password", "password"], check=False)
    # As the suite's resources/mqttUtils/mosquitto has them: without users any name is taken (058_01_03 sends one without a password).
    (out / "anybody.conf").write_text(f"allow_anonymous true\n{listeners}")
    (out / "users.conf").write_text(f"allow_anonymous false\n{listeners}password_file {passwords}\n")
    config = str(out / "anybody.conf")
    started = subprocess.Popen([binary, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (out / "mosquitto.pid").write_text(str(started.pid))
    (out / "mosquitto.running").write_text(config)
    docker.write_text(MOSQUITTO.format(out=out, binary=binary))
    return True


def stop_mosquitto(out: Path) -> None:
    """End the one that runs now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((out / "mosquitto.pid").read_text()), signal.SIGTERM)


def run_robot(suite: Path, out: Path, broker: str, paths: list[str]) -> Path:
    """Run the tests; gives robot's result file."""
    tools = out / "bin"
    api = f"{broker}/ngsi-ld/v1"
    variables = {
        "url": api, "temporal_api_url": api, "core_context": CORE, "ngsild_test_suite_context": f"{LOCAL}/suite/{COMPOUND}",
        "notification_server_host": "127.0.0.1", "notification_server_port": 8085,
        "context_source_host": "127.0.0.1", "context_source_port": 8086,
        "context_server_host": "127.0.0.1", "context_server_port": 8087,
        "mqtt_broker_host": "127.0.0.1", "mqtt_broker_non_default_port": 18885,
    }  # fmt: skip
    command = [sys.executable, "-m", "robot", "--outputdir", str(out / "robot"), "--console", "none"]
    for name, value in variables.items():
        command += ["--variable", f"{name}:{value}"]
    environment = {**os.environ, "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([*command, *paths], cwd=suite, env=environment, check=False, stdout=subprocess.DEVNULL)
    return out / "robot" / "output.xml"


def print_results(result: Path) -> None:
    """One JSON object a line: group, file, name, passed, message, added."""
    from robot.api import ExecutionResult, ResultVisitor

    class Visitor(ResultVisitor):
        def visit_test(self, test: object) -> None:
            source = Path(test.source)
            place = str(source).split("/NGSI-LD/")[-1].split("/")
            group = "/".join(place[:2]) if place[0] == "ContextInformation" else place[0]
            if place[0] == "ContextInformation" and place[1] in ("Consumption", "Provision"):
                group += " (temporal)" if "Temporal" in place[2] else " (current)"
            text = source.read_text(encoding="utf-8")
            row = {
                "group": group,
                "file": place[-1],
                "name": test.name,
                "passed": test.status == "PASS",
                "message": " ".join(test.message.split())[:300],
                "added": ADDED in " ".join(text.replace("...", " ").split()),
            }
            print(json.dumps(row), flush=True)

    ExecutionResult(str(result)).visit(Visitor())


def main() -> None:
    """See the module's docstring."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--suite", type=Path, required=True)
    cli.add_argument("--broker", required=True)
    cli.add_argument("--out", type=Path, required=True)
    cli.add_argument("paths", nargs="*", default=["TP"])
    args = cli.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    suite = copy_suite(args.suite.resolve(), out, args.broker)
    serve_contexts(suite)
    docker = out / "bin" / "docker"
    docker.parent.mkdir(exist_ok=True)
    docker.write_text("#!/bin/sh\nexit 0\n")
    docker.chmod(0o755)
    has_mosquitto = start_mosquitto(out, docker)
    try:
        result = run_robot(suite, out, args.broker, args.paths)
    finally:
        if has_mosquitto:
            stop_mosquitto(out)
    print_results(result)


if __name__ == "__main__":
    main()
