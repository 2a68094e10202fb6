"""Feeds a sample city's events straight into a hub, in city time and as fast as the machine can: for evaluation and for the
hours before a demo.

Everything goes the same way as live: payloads through the source's decoder and ingest into the store, detectors on the change
log, manifests
through their procedure. Only the socket is left out.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import structlog

from madang.access.roles import caller_of
from madang.hub.hub import Hub
from madang.hub.messages import Message
from madang.hub.record_errors import RecordError
from madang.model.time import SECOND, Instant
from madang.simulate.city import Complaint, ManifestAction, SampleEvent, Telemetry

log = structlog.get_logger("madang.feeder")

WINDOW = 2 * SECOND
"""City time that shares one commit: findings are dated at most this much late."""
MANIFEST = "ManureManifest"
COMPLAINTS = "sample-complaints"
"""Source of the citizens' complaints."""
REF_LINK = "sample.manifest"
"""Kind of link from the sample's own name of a manifest to its record."""


class ToldClock(Protocol):
    """A clock that can be told."""

    def now(self) -> Instant: ...

    def set(self, now: Instant) -> None: ...


class Feeder:
    """Feeds one source. `refused` counts manifest actions that the procedure refused (the sample's people make mistakes too)."""

    def __init__(self, hub: Hub, clock: ToldClock, source_id: str) -> None:
        self._hub = hub
        self._clock = clock
        self._source_id = source_id
        self.messages = 0
        self.actions = 0
        self.refused: dict[str, int] = {}

    def feed(self, events: Iterable[SampleEvent], each_window: Callable[[Instant], None] | None = None) -> None:
        """Feed events (in order of sending) to their end. `each_window` is told the time after every commit."""
        batch: list[Message] = []
        end: Instant | None = None
        for event in events:
            if end is None or event.at >= end:
                if end is not None:
                    self._close_window(batch, end, each_window)
                    batch = []
                end = event.at - event.at % WINDOW + WINDOW
            if isinstance(event, Telemetry):
                batch.append(Message(event.payload, event.topic, event.at))
                continue
            self._send(batch)
            batch = []
            self._clock.set(max(event.at, self._clock.now()))
            if isinstance(event, Complaint):
                self.complain(event)
            else:
                self.act(event)
        if end is not None:
            self._close_window(batch, end, each_window)

    def _send(self, batch: list[Message]) -> None:
        if batch:
            self._clock.set(max(batch[-1].received_at, self._clock.now()))
            self._hub.ingest.submit(self._source_id, batch).result()
            self.messages += len(batch)

    def _close_window(self, batch: list[Message], end: Instant, each_window: Callable[[Instant], None] | None) -> None:
        self._send(batch)
        self._clock.set(max(end, self._clock.now()))
        flow = self._hub.flow
        while flow.run_once() or flow.lag():
            pass
        self._hub.tick()
        while flow.lag():
            flow.run_once()
        if each_window is not None:
            each_window(end)

    def complain(self, event: Complaint) -> None:
        """Note a citizen's complaint."""
        self._hub.store.write(lambda tx: tx.append_reading(event.reading, COMPLAINTS, event.at), bulk=True).result()

    def act(self, event: ManifestAction) -> None:
        """Take one manifest action as the person that it names."""
        self.actions += 1
        caller = caller_of(event.actor_party.rpartition(":")[2], event.actor_role, event.actor_party)
        key = f"sample:{event.manifest_ref}:{event.action}:{event.at}"
        try:
            if event.action == "create":
                self._create(caller, event, key)
                return
            with self._hub.store.read() as read:
                record_id = read.find_link(REF_LINK, event.manifest_ref)
            if record_id is None:
                self._refuse(event, "its creation was refused")
                return
            self._hub.records.act(
                caller, record_id, event.action, dict(event.arguments), None, event.on_behalf_of, key
            ).result()
        except RecordError as error:
            self._refuse(event, str(error))

    def _create(self, caller: Any, event: ManifestAction, key: str) -> None:
        records = self._hub.records

        def op(tx: Any) -> None:
            record = records.create_in(
                tx, caller, MANIFEST, "create", dict(event.arguments), event.on_behalf_of, key, None
            )
            tx.put_link(REF_LINK, event.manifest_ref, record.id)

        self._hub.store.write(op).result()

    def _refuse(self, event: ManifestAction, why: str) -> None:
        self.refused[event.action] = self.refused.get(event.action, 0) + 1
        log.debug("manifest action refused", action=event.action, manifest=event.manifest_ref, why=why)
