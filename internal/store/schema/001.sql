-- Times are milliseconds since 1970. Data is JSON. BYTES and NUMBERED are words of ours,
-- in whose place each database gets its own.

CREATE TABLE deliveries (
	key      TEXT PRIMARY KEY, -- "forge/id"
	forge    TEXT NOT NULL,
	id       TEXT NOT NULL,
	event    TEXT NOT NULL,
	header   TEXT NOT NULL,
	body     BYTES NOT NULL,   -- gzip
	digest   TEXT NOT NULL,    -- SHA-256 of the body
	received BIGINT NOT NULL,
	state    TEXT NOT NULL,
	error    TEXT NOT NULL DEFAULT ''
);
-- A signature covers the body alone: the same body under another id or kind is a replay.
CREATE UNIQUE INDEX deliveries_digest ON deliveries (forge, digest);
CREATE INDEX deliveries_received ON deliveries (received);

CREATE TABLE pulls (
	name    TEXT PRIMARY KEY,
	repo    TEXT NOT NULL,
	state   TEXT NOT NULL,
	version BIGINT NOT NULL,
	data    TEXT NOT NULL
);
CREATE INDEX pulls_repo ON pulls (repo, state);

CREATE TABLE commands (
	forge   TEXT NOT NULL,
	comment TEXT NOT NULL,
	pull    TEXT NOT NULL,
	at      BIGINT NOT NULL,
	data    TEXT NOT NULL,
	PRIMARY KEY (forge, comment)
);

CREATE TABLE effects (
	key      TEXT PRIMARY KEY,
	version  BIGINT NOT NULL,
	written  BIGINT NOT NULL DEFAULT 0,
	artefact TEXT NOT NULL DEFAULT '',
	refused  TEXT NOT NULL DEFAULT '',
	changed  BIGINT NOT NULL,
	data     TEXT NOT NULL
);
CREATE INDEX effects_changed ON effects (changed);
