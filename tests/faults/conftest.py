"""The summary of the long runs: printed at the end, and kept where --soak-result says."""

import time
from pathlib import Path

import pytest

from tests.faults import soak

_BEGAN = time.monotonic()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not soak.RUNS:
        return
    took_s = time.monotonic() - _BEGAN
    failed = len(terminalreporter.stats.get("failed", [])) + len(terminalreporter.stats.get("error", []))
    result = soak.summary(took_s, failed)
    terminalreporter.section("faults")
    terminalreporter.write_line(", ".join(f"{k} {v:,}" for k, v in result.items() if isinstance(v, int)))
    path = config.getoption("--soak-result")
    if path:
        soak.write(Path(path), took_s, failed)
