"""What the long runs did, gathered for one summary at the end: kills, messages, repeats. A run counts only when all its checks held."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from madang import __version__

RUNS: list[dict[str, Any]] = []


def note_run(test: str, seed: int, **counts: int) -> None:
    """Keep what a run did; call it after its last assertion."""
    RUNS.append({"test": test, "seed": seed, **counts})


def summary(took_s: float, failed: int) -> dict[str, Any]:
    """Sums over all runs, with machine and version."""
    names = sorted({name for run in RUNS for name in run} - {"test", "seed"})
    return {
        "id": "soak.kills",
        "version": __version__,
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
        },
        "measured_at": time.strftime("%Y-%m-%d", time.gmtime()),
        "took_s": round(took_s),
        "failed_tests": failed,
        "runs": len(RUNS),
        **{name: sum(run.get(name, 0) for run in RUNS) for name in names if name != "memory_mb"},
        "by_run": RUNS,
    }


def write(path: Path, took_s: float, failed: int) -> None:
    """Keep the summary as JSON."""
    path.write_text(json.dumps(summary(took_s, failed), indent=2) + "\n", encoding="utf-8")
