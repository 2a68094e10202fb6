"""Sources that fall silent: an incident by itself, taken back when the source is heard again.

Looked at by the hub's ticker in the transaction of its tick, so in log time and by the one process that leads. It is no detector:
a detector sees changes, and a source is heard also when nothing of it becomes a change (a repeat, a payload that is not
understood).

A source that rests at times (`Source.rest_s`, a fleet at night) opens an incident only when it is silent for longer than that: an
alarm that comes every evening is none.

A document of kind `KIND` stands as long as a source is silent. It is written with the finding and the incident, so each silence is told
once, also across a restart. While no process looked, nobody knows whether a source spoke: patience begins anew with the first
look of a process that leads. A source that was never heard is not silent.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from madang.hub.incidents import Incidents
from madang.hub.ports import Read, Tx
from madang.hub.sources import Sources
from madang.model.finding import MEDIUM, Finding, Measure, Reason
from madang.model.time import SECOND, Instant
from madang.services.contract import Parameter
from madang.wire.source import Source

logger = structlog.get_logger(__name__)

KIND = "source.silence"
RULE = "platform.silence"
RULE_VERSION = "1"
RULE_TITLE = {"ko": "수집원 수신 끊김", "en": "A source is silent"}
SUBJECT_PREFIX = "urn:ngsi-ld:Source:"
"""A source is no entity; its incidents are about this id, which the console leads to the page of sources."""
CADENCES, FLOOR = "platform.silence_cadences", "platform.silence_floor_s"

SILENCE_PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        CADENCES,
        3,
        {"ko": "수집원을 끊김으로 보는 주기 수", "en": "Cadences without a word until a source is silent"},
        "ours: one message may be lost, and the next one late",
        minimum=1,
        maximum=1_000,
    ),
    Parameter(
        FLOOR,
        300,
        {"ko": "수집원을 끊김으로 보는 최소 시간 (초)", "en": "Shortest time until a source is silent (s)"},
        "ours: restarting a gateway or changing a network takes a few minutes",
        minimum=60,
        maximum=604_800,
    ),
)


class _Silence(Struct, frozen=True):
    """A silence that stands."""

    last_at: Instant
    """When the source was last heard."""


class Silence:
    """See the module's docstring. One thread at a time (the ticker's transaction)."""

    def __init__(self, sources: Sources, incidents: Incidents, parameter: Callable[[Read, str], Any]) -> None:
        self._sources = sources
        self._incidents = incidents
        self._parameter = parameter
        self._listening_since: Instant | None = None

    def stand_by(self) -> None:
        """Another process looks."""
        self._listening_since = None

    def set_patience(self, read: Read) -> None:
        """Let the page of sources and the metrics use the limits in force."""
        self._sources.set_patience(float(self._parameter(read, CADENCES)), float(self._parameter(read, FLOOR)))

    def look_in(self, tx: Tx) -> None:
        """Tell of sources that have fallen silent by `tx.now`, and take back what is over."""
        self.set_patience(tx)
        if self._listening_since is None:
            self._listening_since = tx.now
        standing = {id_: msgspec.json.decode(body, type=_Silence) for id_, body in tx.list_documents(KIND)}
        for source in self._sources.list():
            last = self._sources.status(source.id).last_message_at
            if last is None:
                continue
            patience = max(self._sources.patience(source), int(source.rest_s * SECOND))
            known = standing.get(source.id)
            if known is not None and (not source.enabled or last > known.last_at):
                self._end(tx, source, known, last)
            elif known is None and source.enabled and tx.now - max(last, self._listening_since) > patience:
                self._begin(tx, source, last, patience)

    def _begin(self, tx: Tx, source: Source, last: Instant, patience: Instant) -> None:
        params = {"source": source.id, "last_at": last, "limit_s": patience // SECOND}
        quiet_s = (tx.now - last) / SECOND
        found = _finding(
            source, Reason("platform.silence.silent", params), tx.now, last,
            measures=(Measure("platform.silence.quiet", quiet_s, patience / SECOND, "SEC", ">"),),
        )  # fmt: skip
        tx.put_document(KIND, source.id, msgspec.json.encode(_Silence(last)))
        self._tell(tx, found, f"{RULE}/{source.id}/{last}/0")
        logger.warning("source fell silent", source=source.id)

    def _end(self, tx: Tx, source: Source, known: _Silence, last: Instant) -> None:
        code = "platform.silence.heard" if source.enabled else "platform.silence.disabled"
        reason = Reason(code, {"source": source.id, "heard_at": last, "last_at": known.last_at})
        tx.put_document(KIND, source.id, None)
        self._tell(tx, _finding(source, reason, tx.now, last, withdraws=True), f"{RULE}/{source.id}/{known.last_at}/1")

    def _tell(self, tx: Tx, finding: Finding, id_: str) -> None:
        seq = tx.append_clock_mark().seq
        if tx.put_finding(id_, seq, msgspec.json.encode(finding)):
            self._incidents.apply_finding_in(tx, finding, id_, seq)


def _finding(
    source: Source, reason: Reason, now: Instant, marked_at: Instant, *, measures: tuple[Measure, ...] = (),
    withdraws: bool = False,
) -> Finding:  # fmt: skip
    return Finding(
        rule=RULE,
        rule_version=RULE_VERSION,
        situation=f"platform:silence:{source.id}",
        subject=SUBJECT_PREFIX + source.id,
        severity=MEDIUM,
        reason=reason,
        marked_at=marked_at,
        completed_at=now,
        measures=measures,
        withdraws=withdraws,
    )
