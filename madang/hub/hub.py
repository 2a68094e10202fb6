"""The hub: use cases wired to one store, one clock and the services. What connectors and the API are handed.

Construct it, then either `start` its threads (a server) or drive it by hand (`settle`, `tick`: evaluation, replay, tests).
"""

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from msgspec import Struct

from madang.hub.contexts import Contexts
from madang.hub.entities import expire_in
from madang.hub.entity_maps import EntityMaps
from madang.hub.federation import Federation
from madang.hub.flow import LAG_MAX, FlowHost, Overtaken
from madang.hub.http import Http
from madang.hub.incidents import INCIDENT_PARAMETERS, Incidents
from madang.hub.ingest import Ingest
from madang.hub.parameters import Parameters
from madang.hub.ports import Clock, Read, Store, StoreError, Tx
from madang.hub.records import Records
from madang.hub.registration_subscriptions import RegistrationSubscriptions
from madang.hub.registrations import Registrations
from madang.hub.registry import Registry
from madang.hub.silence import RULE, RULE_TITLE, SILENCE_PARAMETERS, Silence
from madang.hub.snapshots import Snapshots
from madang.hub.sources import KIND as SOURCE_KIND
from madang.hub.sources import Sources
from madang.hub.subscriptions import Subscriptions
from madang.hub.tokens import SESSION, TOKEN, Tokens
from madang.hub.trim import KEEP_DAYS, LogTrim
from madang.hub.words import LABEL_ATTRIBUTES, Words
from madang.model.entity import Attributes, value_of
from madang.model.finding import Finding
from madang.model.tenant import DEFAULT_TENANT
from madang.model.time import DAY, MINUTE, SECOND, Instant, day_of
from madang.ngsild.query import Node
from madang.procedure.incident import INCIDENT
from madang.services.contract import Service

logger = logging.getLogger(__name__)

ROLE = "hub"
"""What only one of several processes on one store does: detectors, timers and deadlines, the outbox."""
TICK_S = 0.2
"""Real seconds between looks at what is due: deadlines and timers fire at most this late."""
CLOCK_MARK_EVERY = MINUTE
"""Log time never stands still longer than this: silence must be noticed also when nothing else happens."""
STATUS_EVERY = 10 * SECOND
"""How often source counters are kept, and silent sources looked for."""
MESSAGE_DAYS = 8
"""Days for which a message's identity is remembered: one more than the oldest reading that a source may send."""
QUARANTINE_ROWS_MAX = 100_000
"""Quarantined payloads that are kept; the oldest leave first."""
SHARED_EVERY_S = 10.0
"""How soon a process knows what was registered at another."""
FLOW_RETRY_S = 1.0
"""Wait after a commit of detectors failed (disk full)."""


class City(Struct, frozen=True):
    """What the console says of the city as a whole."""

    name: dict[str, str]
    bounds: tuple[float, float, float, float]
    """West, south, east, north in degrees."""
    time_zone: str = "Asia/Seoul"
    sample: bool = False
    """True for the generated sample city: the console says so."""
    speed: float = 1.0
    """City seconds in a real one."""


class Hub:
    """See the module's docstring. `clock` is the city's time (log time); `real_clock` is for sessions and sending."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        services: Iterable[Service],
        city: City,
        *,
        real_clock: Clock | None = None,
        http: Http | None = None,
        extra_detectors: Iterable[Any] = (),
        log_days: int = KEEP_DAYS,
        tenant: str = DEFAULT_TENANT,
        above: "Hub | None" = None,
    ) -> None:
        """`log_days`: how long changes stay in the log, see `madang.hub.trim`. `above`: the default tenant's hub, for the hub of another
        `tenant`: tokens are kept there, and the broker's name."""
        services = tuple(services)
        self.tenant = tenant
        self.store = store
        self.clock = clock
        self.real_clock = real_clock or clock
        self.city = city
        self.services = services
        self.registry = Registry(services, (INCIDENT,), {RULE: RULE_TITLE})
        self.parameters = Parameters(
            [*INCIDENT_PARAMETERS, *SILENCE_PARAMETERS, *(p for s in services for p in s.parameters)]
        )
        self.words = Words(services, time_zone=city.time_zone, record_types=(INCIDENT,), find_label=self.find_label)
        self.tokens: Tokens = Tokens(store, self.real_clock, secrets.token_bytes) if above is None else above.tokens
        self.sources = Sources(store, clock, secrets.token_hex)
        self.contexts = Contexts(store, self.real_clock, http, self._new_context_id)
        self.registrations = Registrations(store, self.real_clock, lambda: secrets.token_hex(16))
        self.registration_subscriptions = RegistrationSubscriptions(
            store,
            self.real_clock,
            self.registrations,
            self.contexts,
            http,
            lambda: secrets.token_hex(16),
            self.leads,
            headers=self.tenant_headers(),
        )
        self.alias: str = self._alias() if above is None else alias_of(above.alias, tenant)
        self.federation = Federation(self.registrations, self.contexts, http, self.real_clock, self.alias)
        self.entity_maps = EntityMaps(store, self.real_clock, lambda: secrets.token_hex(16))
        self.snapshots = Snapshots(store, self.real_clock, http, lambda: secrets.token_hex(16))
        self.subscriptions = Subscriptions(store, self.real_clock, self.contexts, lambda: secrets.token_hex(16))
        self.records = Records(store, clock, tuple(self.registry.record_types.values()), self.parameters.value)
        self.incidents = Incidents(
            self.records, {rule: items for s in services for rule, items in s.checklists.items()}
        )
        self.silence = Silence(self.sources, self.incidents, self.parameters.value)
        with store.read() as read:
            self.silence.set_patience(read)
        detectors = [d for s in services for d in s.detectors] + list(extra_detectors)
        self.flow = FlowHost(store, detectors, self.parameters.defaults(), self._on_finding)
        self.log_trim = LogTrim(store, log_days)
        self.ingest = Ingest(store, clock, self.sources, self.flow.lag, LAG_MAX)
        self.started_at = self.real_clock.now()
        self._changed_kinds: set[str] = set()
        """Kinds of documents that other processes have changed and that were not looked at again yet."""
        store.subscribe_documents(self._changed_kinds.add)
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._tick_s = TICK_S
        self._on_stop: list[Callable[[], None]] = []
        self._last_status: Instant = 0
        self._last_housekeeping_day = ""
        self._labels: dict[str, str] = {}
        self.predicates: dict[frozenset[str], Node | None] = {}
        """What entities must meet to be seen with these permissions (`madang.hub.queries.look`)."""

    def tenant_headers(self) -> tuple[tuple[str, str], ...]:
        """What a notification says of whose it is (clause 6.3.14); nothing for the default tenant."""
        return () if self.tenant == DEFAULT_TENANT else (("NGSILD-Tenant", self.tenant),)

    def _new_context_id(self) -> str:
        """The secret part of the id of an @context. It names its tenant: who follows an address from a Link header sends no other
        header."""
        random = secrets.token_hex(16)
        return random if self.tenant == DEFAULT_TENANT else f"{self.tenant}.{random}"

    def _alias(self) -> str:
        """The name of this broker among others: in Via it tells a loop, so no two may have the same (6.3.18)."""
        with self.store.read() as read:
            known = read.find_document("identity", "alias")
        if known is not None:
            return known.decode()
        alias = f"madang-{secrets.token_hex(8)}"
        self.store.write(lambda tx: tx.put_document("identity", "alias", alias.encode())).result(10)
        return alias

    async def run_shared(self) -> None:
        """In the event loop, until cancelled: take in @contexts, registrations and subscriptions that other processes on
        the store have changed."""
        while True:
            await asyncio.sleep(SHARED_EVERY_S)
            try:
                for part in (self.contexts, self.registrations, self.registration_subscriptions):
                    await part.catch_up()
            except StoreError as error:
                logger.warning("what other processes changed was not read: %s", error)

    # --- life ---

    def start(self, *, detect: bool = True, tick_s: float = TICK_S) -> None:
        """Start the background threads: detectors (not where there are none: `detect` False), and the ticker of deadlines and timers,
        which looks every `tick_s`."""
        self._tick_s = tick_s
        if not detect:
            self.flow.stand_by()  # Its place is never committed, so it keeps nothing in the log.
        loops = [("madang-ticker", self._tick_loop)] + ([("madang-flow", self._flow_loop)] if detect else [])
        for name, target in loops:
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop the threads, keep counters and detector states. The store stays open; may be called twice."""
        if self._stop.is_set():
            return
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
        for callback in self._on_stop:
            callback()
        try:
            self.store.write(self._save_in).result(10)
        except StoreError as error:
            logger.warning("counters of sources and contexts were not kept at the stop: %s", error)
        self.flow.close()

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the hub stops."""
        self._on_stop.append(callback)

    def _flow_loop(self) -> None:
        resumed = False
        while not self._stop.is_set():
            try:
                if not self.leads():
                    self.flow.stand_by()
                    resumed = False
                    self._stop.wait(TICK_S)
                    continue
                if not resumed:
                    self.flow.take_over()
                    self._resume_paused()
                    resumed = True
                if self.flow.run_once() == 0:
                    self.flow.wait(TICK_S)
            except Overtaken as error:
                # Another process leads now, or a commit succeeded whose outcome was not known: begin again from what is committed.
                logger.warning("%s", error)
                self.flow.stand_by()
                resumed = False
            except StoreError as error:
                logger.error("detectors wait for the store: %s", error)
                self._stop.wait(FLOW_RETRY_S)

    def _resume_paused(self) -> None:
        for again in self.flow.resume_all():
            logger.error("detector %s key %s stays paused: %s", again.detector, again.key, again.error)

    def leads(self) -> bool:
        """Is this the process that runs detectors, timers and the outbox? Any thread."""
        return self.store.leads(ROLE)

    def _tick_loop(self) -> None:
        while not self._stop.wait(self._tick_s):
            try:
                self._take_in_documents()
                if self.leads():
                    self.tick()
                else:
                    self._tick_beside()
            except StoreError as error:
                logger.error("deadlines and timers wait for the store: %s", error)
                self._stop.wait(FLOW_RETRY_S)

    # --- time ---

    def tick(self, *, force_mark: bool = False) -> None:
        """One look at what is due: a clock mark when a timer or a deadline waits for it, deadlines, counters, housekeeping.
        Blocks until it is done."""
        now = self.clock.now()
        wake = self.flow.runner.next_wake()
        with self.store.read() as read:
            deadlines = bool(read.list_due_deadlines(now, 1))
            expired = bool(read.list_expired(now, 1))
            log_time = read.log_time()
        mark = force_mark or (wake is not None and wake <= now) or now - log_time >= CLOCK_MARK_EVERY
        keep_status = now - self._last_status >= STATUS_EVERY
        if mark or deadlines or keep_status:
            self.store.write(lambda tx: self._tick_in(tx, mark, keep_status)).result()
        if keep_status:
            self._last_status = now
        if expired:
            self.store.write(lambda tx: expire_in(tx, self.registry)).result()
        self.log_trim.step(now)
        day = day_of(now)
        if day != self._last_housekeeping_day:
            self._last_housekeeping_day = day
            self.store.write(lambda tx: self._housekeeping_in(tx, now)).result()

    def _take_in_documents(self) -> None:
        """Look again at what other processes have changed."""
        kinds = {self._changed_kinds.pop() for _ in range(len(self._changed_kinds))}
        if kinds & {"", SOURCE_KIND}:
            self.sources.reload()
        if kinds & {"", TOKEN, SESSION} and self.tenant == DEFAULT_TENANT:
            self.tokens.reload()

    def _tick_beside(self) -> None:
        """What a process does that does not lead: keep its own counters."""
        now = self.clock.now()
        if now - self._last_status >= STATUS_EVERY:
            self._last_status = now
            self.store.write(self._save_in).result()

    def _tick_in(self, tx: Tx, mark: bool, keep_status: bool) -> None:
        if mark:
            tx.append_clock_mark()
        self.records.fire_due(tx)
        if keep_status:
            self._save_in(tx)
            self.silence.look_in(tx)

    def _save_in(self, tx: Tx) -> None:
        """Counters that are kept now and then."""
        self.sources.save_in(tx)
        self.contexts.save_in(tx)
        self.registrations.save_in(tx)
        self.snapshots.save_in(tx)

    def _housekeeping_in(self, tx: Tx, now: Instant) -> None:
        tx.forget_messages(day_of(max(0, now - MESSAGE_DAYS * DAY)))
        tx.trim_quarantine(QUARANTINE_ROWS_MAX)
        self.entity_maps.forget_expired_in(tx)
        self.snapshots.forget_expired_in(tx)

    def settle(self) -> None:
        """Run detectors to the end of the log (without threads): for evaluation, replay and tests."""
        self.flow.settle()

    def _on_finding(self, tx: Tx, finding: Finding, finding_id: str, seq: int) -> None:
        self.incidents.apply_finding_in(tx, finding, finding_id, seq)

    # --- names ---

    def find_label(self, id_: str) -> str | None:
        """What people call an entity: its plate, name or number. Names are remembered; call `forget_label` when one changes."""
        known = self._labels.get(id_)
        if known is not None:
            return known
        with self.store.read() as read:
            label = self.label_in(read, id_)
        if label is not None:
            if len(self._labels) > 50_000:
                self._labels.clear()
            self._labels[id_] = label
        return label

    def forget_label(self, id_: str) -> None:
        """The entity changed: read its label again when it is asked for."""
        self._labels.pop(id_, None)

    def label_in(self, read: Read, id_: str) -> str | None:
        """`find_label` on a snapshot, without memory."""
        entity = read.find_entity(id_)
        if entity is None:
            return None
        for name in LABEL_ATTRIBUTES:
            value = value_of(entity.attributes.get(name))
            if isinstance(value, str) and value:
                return value
        return None

    # --- reference data ---

    def put_reference(self, entities: Iterable[tuple[str, str, Attributes]], source: str) -> "Future[int]":
        """Import entities (id, type, attributes), each as a new version where it changed; gives how many changed."""
        rows = list(entities)
        registry = self.registry

        def op(tx: Tx) -> int:
            changed = 0
            for id_, type_, attributes in rows:
                known = tx.find_entity(id_)
                if known is not None and all(known.attributes.get(n) == a for n, a in attributes.items()):
                    continue
                reference = registry.is_reference(type_)
                tx.put_entity(id_, type_, attributes, source, reference=reference, replace=False)
                changed += 1
            return changed

        self._labels.clear()
        return self.store.write(op)


def alias_of(broker: str, tenant: str) -> str:
    """The name of a tenant among context sources (clause 5.2.40: it "shall be identifying a specific Tenant"). Derived from the
    broker's own, so that one can be told before the tenant exists; no tenant's name holds a dot."""
    return broker if tenant == DEFAULT_TENANT else f"{broker}.{tenant}"
