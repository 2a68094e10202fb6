"""Benchmark `manure.vans`: all public van tracks through `madang replay`, stops and unloadings against what is known.

    python -m benchmarks.manure_vans TRACKS.zip [--write]

The positions are real GPS (delivery vans, six minutes at 5 s, CC BY 4.0, amazon-science/goal-gps-ordered-activity-labels); the
weight is laid over by the model that `madang/simulate/overlay.py` states. The labels tell Driving from on foot and are used to judge
and to lay the weight, never as an input of the detector. The id is permanent: seed, speed and number of tracks do not change under it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ingest_mqtt_manure import machine
from madang import __version__

ID = "manure.vans"
RESULT = Path(__file__).parent / "results" / f"{ID}.json"
TRACKS, SPEED, SEED = 1_000, 300, 1
"""More than there are; city seconds in a real one; where the tracks are laid and what is unloaded."""


def main() -> None:
    """Run and print; `--write` keeps the result beside the code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracks", type=Path, help="trajectories.zip as published")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="madang-vans-") as folder:
        command = [sys.executable, "-m", "madang.app.cli", "replay", str(options.tracks), "--data", folder]
        command += ["--tracks", str(TRACKS), "--speed", str(SPEED), "--seed", str(SEED)]
        command += ["--port", "0", "--mqtt-port", "0", "--log-level", "warning"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = {
        "id": ID,
        "version": __version__,
        "machine": machine(),
        "measured_at": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": SEED,
        **json.loads(done.stdout),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if options.write:
        RESULT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
