-- The tables of one tenant. Run by `madang db init` with the tenant's schema first in search_path.
-- Instants are bigint, microseconds since 1970, as everywhere in Madang.

-- One row: the end of the log. Who holds its lock has the turn to write; everyone else waits for the commit. So the order of
-- commits is the order of `seq`, and the other counters need no sequences.
CREATE TABLE log_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  seq bigint NOT NULL, recorded_at bigint NOT NULL, entity_no bigint NOT NULL, name_no integer NOT NULL);
INSERT INTO log_head VALUES (true, 0, 0, 0, 0);

CREATE TABLE log (
  seq bigint PRIMARY KEY, kind text NOT NULL, recorded_at bigint NOT NULL, observed_at bigint NOT NULL,
  received_at bigint NOT NULL, entity_id text NOT NULL, entity_type text NOT NULL, source text NOT NULL,
  late boolean NOT NULL, attributes text NOT NULL, transition text, removed text,
  previous bigint, before text);

-- `type` is the first type, `types` all of them when there are more. `wakes_at`: the first instant at which the entity or an
-- attribute expires. `many`: an attribute has an instance with a
-- datasetId, or else cannot be answered as it is stored. `stamps`: see madang/stores/stamps.py.
-- `place` is the exact geometry of `location`. `box` is its box, padded for points, so that a moving thing seldom changes an
-- index: an update that changes no indexed column stays in its page (fillfactor leaves it room).
CREATE TABLE entity (
  no bigint PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, type text COLLATE "C" NOT NULL, body jsonb NOT NULL,
  created_at bigint NOT NULL, modified_at bigint NOT NULL, observed_at bigint NOT NULL, seq bigint NOT NULL,
  place geometry, box geometry, deleted boolean NOT NULL DEFAULT false, types text[] COLLATE "C", scopes text[] COLLATE "C",
  expires_at bigint, wakes_at bigint, many boolean NOT NULL DEFAULT false, stamps jsonb) WITH (fillfactor = 70);
CREATE INDEX entity_by_type ON entity (type, id) WHERE NOT deleted;
CREATE INDEX entity_by_types ON entity USING gin (types) WHERE types IS NOT NULL;
CREATE INDEX entity_by_wake ON entity (wakes_at) WHERE wakes_at IS NOT NULL AND NOT deleted;
CREATE INDEX entity_by_box ON entity USING gist (box) WHERE box IS NOT NULL;

CREATE TABLE reference_version (
  entity_id text COLLATE "C" NOT NULL, seq bigint NOT NULL, type text COLLATE "C" NOT NULL, body text, at bigint NOT NULL,
  PRIMARY KEY (entity_id, seq));
CREATE INDEX reference_version_by_type ON reference_version (type, entity_id, seq);

CREATE TABLE record (
  id text COLLATE "C" PRIMARY KEY, type text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL, version integer NOT NULL,
  data text NOT NULL, created_at bigint NOT NULL, modified_at bigint NOT NULL);
CREATE INDEX record_by_type ON record (type, state, id);
CREATE TABLE record_version (
  record_id text COLLATE "C" NOT NULL, version integer NOT NULL, seq bigint NOT NULL, type text COLLATE "C" NOT NULL,
  state text NOT NULL, data text NOT NULL, transition text NOT NULL, at bigint NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (record_id, version));
CREATE INDEX record_version_by_type ON record_version (type, seq);
CREATE TABLE record_link (
  type text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL,
  record_id text COLLATE "C" NOT NULL, PRIMARY KEY (type, name, value, record_id));
CREATE INDEX record_link_by_record ON record_link (record_id);

CREATE TABLE message_id (key bytea PRIMARY KEY, day integer NOT NULL);
CREATE TABLE name (no integer PRIMARY KEY, text text COLLATE "C" NOT NULL UNIQUE);

-- Partitioned by recorded day; the partitions are made as days come. A number stands in `number`, any other value in `text`
-- as JSON. `history_day` holds each day's range of observed instants, so that only days that can hold an answer are read.
CREATE TABLE history (
  day integer NOT NULL, entity bigint NOT NULL, attribute integer NOT NULL, observed_at bigint NOT NULL, seq bigint NOT NULL,
  received_at bigint NOT NULL, number double precision, text text) PARTITION BY LIST (day);
CREATE TABLE history_day (
  day integer PRIMARY KEY, first_observed_at bigint NOT NULL, last_observed_at bigint NOT NULL);

CREATE TABLE link (
  kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, id text NOT NULL, PRIMARY KEY (kind, key));
CREATE TABLE idempotent (key text COLLATE "C" PRIMARY KEY, answer bytea NOT NULL, at bigint NOT NULL);
CREATE TABLE cursor (consumer text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE flow_state (
  detector text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, document bytea NOT NULL, wake_at bigint,
  PRIMARY KEY (detector, key)) WITH (fillfactor = 70);
CREATE INDEX flow_state_by_wake ON flow_state (wake_at, detector, key) WHERE wake_at IS NOT NULL;
CREATE TABLE finding (id text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL, document bytea NOT NULL);

CREATE TABLE deadline (
  record_id text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, due_at bigint NOT NULL, action text NOT NULL,
  arguments text NOT NULL, PRIMARY KEY (record_id, name));
CREATE INDEX deadline_by_due ON deadline (due_at, record_id, name);
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, record_id text COLLATE "C" NOT NULL, channel text NOT NULL,
  receiver text NOT NULL, reason text NOT NULL, state text COLLATE "C" NOT NULL, attempts integer NOT NULL,
  next_at bigint NOT NULL, idempotency_key text COLLATE "C" NOT NULL UNIQUE, error text NOT NULL, created_at bigint NOT NULL);
CREATE INDEX outbox_by_state ON outbox (state, next_at, id);
CREATE INDEX outbox_by_record ON outbox (record_id, id);
CREATE TABLE quarantine (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text COLLATE "C" NOT NULL, received_at bigint NOT NULL,
  code text NOT NULL, detail text NOT NULL, topic text NOT NULL, payload bytea NOT NULL);
CREATE INDEX quarantine_by_source ON quarantine (source, id);
CREATE TABLE document (kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, body bytea NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE notification (
  no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subscription text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL,
  first_seq bigint NOT NULL, last_seq bigint NOT NULL, events integer NOT NULL, body bytea NOT NULL, created_at bigint NOT NULL,
  error text NOT NULL);
CREATE INDEX notification_by_subscription ON notification (subscription, state, no);
CREATE TABLE number (name text COLLATE "C" PRIMARY KEY, last bigint NOT NULL);

-- Which process does what only one may do at a time (detectors, timers, outbox). `until` is the database's clock.
CREATE TABLE lease (name text COLLATE "C" PRIMARY KEY, holder uuid NOT NULL, until timestamptz NOT NULL);

-- An instant as RFC 3339 text with as few fraction digits (0, 3 or 6) as keep it exact, as everywhere in Madang.
CREATE FUNCTION madang_instant(at bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT to_char(timestamp 'epoch' + (at / 1000000) * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS')
    || CASE WHEN at % 1000000 = 0 THEN '' WHEN at % 1000 = 0 THEN '.' || lpad((at % 1000000 / 1000)::text, 3, '0')
       ELSE '.' || lpad((at % 1000000)::text, 6, '0') END || 'Z' $$;
