-- The evolution of entities (the temporal API): see madang/stores/temporal.py.
-- `instance`: what an API write said as a whole; NULL for a device's reading, and for what was written before this step. Its first
-- letter is compared by its place in the alphabet. The column has no default, so no row is rewritten.
ALTER TABLE history ADD COLUMN instance text COLLATE "C";

CREATE TABLE temporal_cut (entity bigint NOT NULL, attribute integer NOT NULL, seq bigint NOT NULL, PRIMARY KEY (entity, attribute));
CREATE TABLE temporal_edit (
  entity bigint NOT NULL, attribute integer NOT NULL, observed_at bigint NOT NULL, seq bigint NOT NULL, instance text COLLATE "C",
  modified_at bigint NOT NULL, source text NOT NULL, PRIMARY KEY (entity, attribute, observed_at, seq));
CREATE TABLE temporal_only (entity bigint PRIMARY KEY, seq bigint NOT NULL);
