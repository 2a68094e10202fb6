"""What the scripts share that run in a client's own environment: steps by name, each with its result or what it raised.

Only the standard library: these environments do not have Madang's requirements.
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Steps:
    """Runs steps one after the other and prints what came of each as JSON."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}

    def run(self, name: str, step: Callable[[], Any]) -> Any:
        """The step's result; None when it raised. Later steps are run all the same."""
        try:
            result = step()
        except Exception as error:  # noqa: BLE001 - whatever a client raises is the result
            self.results[name] = {"raised": type(error).__name__, "detail": str(error)[:500]}
            return None
        self.results[name] = result
        return result

    def print(self) -> None:
        """The last line of the output."""
        print()
        print(json.dumps(self.results, ensure_ascii=False, default=str))


class Receiver:
    """An HTTP server that keeps the bodies that it is sent."""

    def __init__(self) -> None:
        heard: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.heard = heard
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/notify"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self, count: int = 1, timeout_s: float = 15.0) -> list[Any]:
        """What was heard, when it is `count` bodies or the time is over."""
        until = time.monotonic() + timeout_s
        while len(self.heard) < count and time.monotonic() < until:
            time.sleep(0.02)
        return self.heard

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
