"""A Madang server as the fault tests run and kill it: the same wiring as `madang serve`, with one source whose secret the tests
know, two small detectors whose findings can be counted by hand, and a clock that the test may set wrong.

``python -m tests.faults.serve DATA HTTP_PORT MQTT_PORT [many-devices] [--store=URL]``.
``DATA/clock-offset-s`` (optional) shifts its clock while it runs.
"""

import asyncio
import faulthandler
import signal
import sys
import time
from pathlib import Path

from msgspec.structs import replace

from madang.app.server import Server, stop_on_signals
from madang.app.settings import Settings
from madang.model.time import SECOND
from madang.services.manure.sources import TRUCK_SOURCE
from madang.wire.source import with_secret
from tests.faults.detectors import DETECTORS

SECRET = "a secret of the fault tests"
SOURCE = with_secret(TRUCK_SOURCE, SECRET)
TOKEN_FILE = "first-token"


class ShiftedClock:
    """The machine's clock plus seconds that stand in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at = 0.0
        self._offset = 0

    def now(self) -> int:
        """Microseconds since 1970, shifted."""
        if time.monotonic() - self._looked_at > 0.1:
            self._looked_at = time.monotonic()
            self._offset = int(self._path.read_text() or "0") * SECOND if self._path.exists() else 0
        return time.time_ns() // 1000 + self._offset


async def main() -> None:
    """Serve until a signal."""
    faulthandler.register(signal.SIGUSR1)  # for the person who finds it hanging
    data, http_port, mqtt_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    source = replace(SOURCE, devices_max=2_000_000) if "many-devices" in sys.argv else SOURCE
    store = next((a.partition("=")[2] for a in sys.argv if a.startswith("--store=")), "")
    private = "allow-private" in sys.argv
    settings = Settings(data=data, port=http_port, mqtt_port=mqtt_port, store=store, allow_private_addresses=private)
    server = Server(settings, clock=ShiftedClock(data / "clock-offset-s"), sources=[source], extra_detectors=DETECTORS)
    async with server, stop_on_signals(server):
        print("ready", flush=True)
        await server.wait()


if __name__ == "__main__":
    asyncio.run(main())
