"""`madang evaluate manure`: N simulated city days through decode and ingest, judged against what physically happened."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from madang.app.clocks import ManualClock
from madang.app.feeder import Feeder
from madang.hub.hub import City, Hub
from madang.hub.ports import Tx
from madang.model.finding import Finding
from madang.model.time import DAY, HOUR, Instant, parse_instant
from madang.services.manure import SERVICE
from madang.services.manure.baseline import BASELINE
from madang.services.manure.sources import TRUCK_SOURCE
from madang.simulate.city import SampleCity
from madang.simulate.judge import Found, judge
from madang.stores.sqlite import SqliteStore

log = structlog.get_logger("madang.evaluate")

START_AT = parse_instant("2026-03-01T15:00:00Z")
"""Midnight in Seoul of 2026-03-02, a Monday in the spreading season: simulated days count from here."""
SETTLE = 2 * HOUR
"""City time after the last day in which rules may still complete."""


class JudgedHub(Hub):
    """A hub that also notes when each finding was made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.found: dict[tuple[str, str], Found] = {}
        super().__init__(*args, **kwargs)

    def _on_finding(self, tx: Tx, finding: Finding, finding_id: str, seq: int) -> None:
        super()._on_finding(tx, finding, finding_id, seq)
        key = (finding.rule, finding.situation)
        known = self.found.get(key)
        if finding.withdraws:
            if known is not None:
                self.found[key] = msgspec.structs.replace(known, withdrawn=True)
            return
        # Told again, it is still the one finding: how late it was is the first telling's (since it was withdrawn, if it was).
        first = None if known is None or known.withdrawn else known
        manifest = next((i for i in finding.involved if ":ManureManifest:" in i), None)
        if ":ManureManifest:" in finding.subject:
            manifest = finding.subject
        self.found[key] = Found(
            rule=finding.rule,
            subject=_vehicle_of(finding),
            manifest_id=manifest,
            marked_at=finding.marked_at,
            completed_at=finding.completed_at if first is None else first.completed_at,
            found_at=tx.now if first is None else first.found_at,
            withdrawn=False,
        )


def _vehicle_of(finding: Finding) -> str:
    if ":Vehicle:" in finding.subject:
        return finding.subject
    return next((i for i in finding.involved if ":Vehicle:" in i), finding.subject)


def evaluate_manure(*, seed: int, days: int, trucks: int, enriched: bool, details: bool = False) -> dict[str, Any]:
    """Run and judge. Deterministic for its arguments but for `took_s`."""
    city = SampleCity(seed, START_AT, enriched=enriched, trucks=trucks)
    clock = ManualClock(START_AT)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="madang-evaluate-") as folder:
        store = SqliteStore(Path(folder), clock, durable=False)
        try:
            hub = JudgedHub(store, clock, [SERVICE], City({"en": "Sample"}, (0, 0, 0, 0)), extra_detectors=[BASELINE])
            hub.put_reference(city.reference(), "sample").result()
            hub.sources.put(TRUCK_SOURCE)
            feeder = Feeder(hub, clock, TRUCK_SOURCE.id)
            feeder.feed(city.events(START_AT, START_AT + days * DAY))
            _run_out(hub, clock, START_AT + days * DAY)
            manifests = _manifest_ids(hub)
            result = judge(
                list(hub.found.values()),
                city.truth(),
                ignore=city.ignore(),
                manifest_ids=manifests,
                truck_days=city.truck_days(),
                details=details,
            )
            paused = [f"{p.detector}/{p.key}: {p.error}" for p in hub.flow.runner.list_paused()]
            hub.stop()
        finally:
            store.close()
    took = time.monotonic() - began
    return {
        "service": "manure",
        "origin": "simulated",
        "seed": seed,
        "days": days,
        "trucks": trucks,
        "enriched": enriched,
        **result,
        "messages": feeder.messages,
        "manifest_actions": feeder.actions,
        "refused_actions": feeder.refused,
        "paused_keys": paused,
        "took_s": round(took, 1),
    }


def _run_out(hub: Hub, clock: ManualClock, end: Instant) -> None:
    """Let timers that wait after the last message fire."""
    for minute in range(0, SETTLE, SETTLE // 120):
        clock.set(end + minute)
        hub.tick(force_mark=True)
        while hub.flow.lag():
            hub.flow.run_once()


def _manifest_ids(hub: Hub) -> Mapping[str, str]:
    """The sample's name of each manifest -> its record id."""
    with hub.store.read() as read:
        return dict(read.list_links("sample.manifest"))
