"""The tables of schema version 1, as its code made them: what files of that time look like."""

DDL = """
CREATE TABLE log (
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, recorded_at INTEGER NOT NULL, observed_at INTEGER NOT NULL,
  received_at INTEGER NOT NULL, entity_id TEXT NOT NULL, entity_type TEXT NOT NULL, source TEXT NOT NULL,
  late INTEGER NOT NULL, attributes TEXT NOT NULL, transition TEXT);

CREATE TABLE entity (
  no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, body TEXT NOT NULL,
  created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL, observed_at INTEGER NOT NULL, seq INTEGER NOT NULL,
  lon REAL, lat REAL, deleted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX entity_by_type ON entity (type, id) WHERE deleted = 0;
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
