"""Tables of the embedded store, and how an older file is brought up to them.

Columns of ``entity``: `type` is the first type, `types` all of them (JSON) when there are more, the further ones also in ``entity_type``;
`expires_at` of the entity; `wakes_at` the first instant at which it or an attribute expires; `many` is 1 when an attribute has an
instance with a datasetId or needs other care (see `madang.model.entity.needs_care`); `stamps` see `madang.stores.stamps`.

Bodies with 1 KB and more live in rowid tables with a UNIQUE id: ``WITHOUT ROWID`` was 14 times slower there. Small fixed rows (history,
message ids, links) are ``WITHOUT ROWID``: the key is the row.
"""

from typing import Any

import apsw

SCHEMA_VERSION = 4
"""Kept in ``PRAGMA user_version``. A file of a newer version is refused, an older one is migrated."""

NOTIFICATION_DDL = """
CREATE TABLE notification (
  no INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, state TEXT NOT NULL, first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, events INTEGER NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL,
  error TEXT NOT NULL);
CREATE INDEX notification_by_subscription ON notification (subscription, state, no);
"""

TEMPORAL_DDL = """
CREATE TABLE temporal_cut (entity INTEGER NOT NULL, attribute INTEGER NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (entity, attribute)) WITHOUT ROWID;
CREATE TABLE temporal_edit (
  entity INTEGER NOT NULL, attribute INTEGER NOT NULL, observed_at INTEGER NOT NULL, seq INTEGER NOT NULL, instance TEXT,
  modified_at INTEGER NOT NULL, source TEXT NOT NULL, PRIMARY KEY (entity, attribute, observed_at, seq)) WITHOUT ROWID;
CREATE TABLE temporal_only (entity INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
"""
"""What the temporal API says of the history beside it (see `madang.stores.temporal`)."""

DDL = (
    """
CREATE TABLE log (
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, recorded_at INTEGER NOT NULL, observed_at INTEGER NOT NULL,
  received_at INTEGER NOT NULL, entity_id TEXT NOT NULL, entity_type TEXT NOT NULL, source TEXT NOT NULL,
  late INTEGER NOT NULL, attributes TEXT NOT NULL, transition TEXT, removed TEXT, previous INTEGER, before TEXT);

CREATE TABLE entity (
  no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, body TEXT NOT NULL,
  created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL, observed_at INTEGER NOT NULL, seq INTEGER NOT NULL,
  lon REAL, lat REAL, deleted INTEGER NOT NULL DEFAULT 0, types TEXT, scopes TEXT, expires_at INTEGER, wakes_at INTEGER,
  many INTEGER NOT NULL DEFAULT 0, stamps TEXT);
CREATE INDEX entity_by_type ON entity (type, id) WHERE deleted = 0;
CREATE INDEX entity_by_wake ON entity (wakes_at) WHERE wakes_at IS NOT NULL AND deleted = 0;
CREATE TABLE entity_type (type TEXT NOT NULL, no INTEGER NOT NULL, PRIMARY KEY (type, no)) WITHOUT ROWID;
CREATE VIRTUAL TABLE entity_place USING rtree (no, west, east, south, north);

CREATE TABLE reference_version (
  entity_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, body TEXT, at INTEGER NOT NULL,
  UNIQUE (entity_id, seq));
CREATE INDEX reference_version_by_type ON reference_version (type, entity_id, seq);

CREATE TABLE record (
  no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
  data TEXT NOT NULL, created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL);
CREATE INDEX record_by_type ON record (type, state, id);
CREATE TABLE record_version (
  record_id TEXT NOT NULL, version INTEGER NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, state TEXT NOT NULL,
  data TEXT NOT NULL, transition TEXT NOT NULL, at INTEGER NOT NULL, created_at INTEGER NOT NULL,
  UNIQUE (record_id, version));
CREATE INDEX record_version_by_type ON record_version (type, seq);
CREATE TABLE record_link (
  type TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, record_id TEXT NOT NULL,
  PRIMARY KEY (type, name, value, record_id)) WITHOUT ROWID;

CREATE TABLE message_id (key BLOB PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE name (no INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE history_day (day TEXT PRIMARY KEY, first_observed_at INTEGER NOT NULL, last_observed_at INTEGER NOT NULL)
  WITHOUT ROWID;

CREATE TABLE link (kind TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE idempotent (key TEXT PRIMARY KEY, answer BLOB NOT NULL, at INTEGER NOT NULL);
CREATE TABLE cursor (consumer TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE flow_state (
  no INTEGER PRIMARY KEY, detector TEXT NOT NULL, key TEXT NOT NULL, document BLOB NOT NULL, wake_at INTEGER,
  UNIQUE (detector, key));
CREATE INDEX flow_state_by_wake ON flow_state (wake_at, detector, key) WHERE wake_at IS NOT NULL;
CREATE TABLE finding (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, document BLOB NOT NULL);

CREATE TABLE deadline (
  record_id TEXT NOT NULL, name TEXT NOT NULL, due_at INTEGER NOT NULL, action TEXT NOT NULL, arguments TEXT NOT NULL,
  PRIMARY KEY (record_id, name)) WITHOUT ROWID;
CREATE INDEX deadline_by_due ON deadline (due_at, record_id, name);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, record_id TEXT NOT NULL, channel TEXT NOT NULL, receiver TEXT NOT NULL,
  reason TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, next_at INTEGER NOT NULL,
  idempotency_key TEXT NOT NULL UNIQUE, error TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX outbox_by_state ON outbox (state, next_at, id);
CREATE INDEX outbox_by_record ON outbox (record_id, id);
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, received_at INTEGER NOT NULL, code TEXT NOT NULL,
  detail TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL);
CREATE INDEX quarantine_by_source ON quarantine (source, id);
CREATE TABLE document (kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id));
CREATE TABLE number (name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
"""
    + NOTIFICATION_DDL
    + TEMPORAL_DDL
)

MIGRATIONS: dict[int, str] = {
    1: """
ALTER TABLE log ADD COLUMN removed TEXT;
ALTER TABLE entity ADD COLUMN types TEXT;
ALTER TABLE entity ADD COLUMN scopes TEXT;
ALTER TABLE entity ADD COLUMN expires_at INTEGER;
ALTER TABLE entity ADD COLUMN wakes_at INTEGER;
ALTER TABLE entity ADD COLUMN many INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entity ADD COLUMN stamps TEXT;
CREATE INDEX entity_by_wake ON entity (wakes_at) WHERE wakes_at IS NOT NULL AND deleted = 0;
CREATE TABLE entity_type (type TEXT NOT NULL, no INTEGER NOT NULL, PRIMARY KEY (type, no)) WITHOUT ROWID;
""",
    2: """
ALTER TABLE log ADD COLUMN previous INTEGER;
ALTER TABLE log ADD COLUMN before TEXT;
"""
    + NOTIFICATION_DDL,
    3: TEMPORAL_DDL,
}
"""What makes version n + 1 of version n. Columns are added at a table's end, in the order of `DDL`: no row is rewritten, so a large file
is brought up in milliseconds."""

HISTORY_DDL = """
CREATE TABLE IF NOT EXISTS history_{day} (
  entity INTEGER NOT NULL, attribute INTEGER NOT NULL, observed_at INTEGER NOT NULL, seq INTEGER NOT NULL,
  received_at INTEGER NOT NULL, number REAL, text TEXT, instance TEXT,
  PRIMARY KEY (entity, attribute, observed_at, seq)) WITHOUT ROWID
"""
"""One table per recorded day: dropping a day is cheap. A number goes to `number`, every other value to `text` as JSON.
`instance`: what an API write said as a whole, see `madang.stores.temporal`; NULL for a device's reading."""


class SchemaTooNew(Exception):
    """The file was written by a newer Madang."""


def prepare(connection: apsw.Connection) -> None:
    """Create the tables in an empty file, or bring an older one up, in one transaction.

    Raises SchemaTooNew when the file needs a newer Madang; nothing is changed then.
    """
    version = int(connection.pragma("user_version"))
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"the data was written by a newer Madang (schema {version}, this one knows {SCHEMA_VERSION}): upgrade Madang"
        )
    if version == SCHEMA_VERSION:
        return
    with connection:
        if version == 0:
            connection.execute(DDL)
        else:
            for older in range(version, SCHEMA_VERSION):
                connection.execute(MIGRATIONS[older])
            if version < 4:
                days: Any = connection.execute("SELECT day FROM history_day").fetchall()
                for (day,) in days:
                    connection.execute(f"ALTER TABLE history_{day} ADD COLUMN instance TEXT")
        connection.pragma("user_version", SCHEMA_VERSION)
