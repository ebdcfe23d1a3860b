CREATE TABLE branches (
	repo    TEXT PRIMARY KEY,
	version BIGINT NOT NULL,
	data    TEXT NOT NULL
);

CREATE TABLE rollouts (
	id      TEXT PRIMARY KEY,
	repo    TEXT NOT NULL,
	live    BOOLEAN NOT NULL, -- something can still become of it
	version BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	data    TEXT NOT NULL
);
CREATE INDEX rollouts_live ON rollouts (repo) WHERE live;
CREATE INDEX rollouts_changed ON rollouts (changed);

CREATE TABLE deployed (
	repo   TEXT NOT NULL,
	target TEXT NOT NULL,
	data   TEXT NOT NULL,
	PRIMARY KEY (repo, target)
);

CREATE TABLE shown (
	key     TEXT PRIMARY KEY,
	changed BIGINT NOT NULL,
	data    BYTES NOT NULL -- gzip
);
CREATE INDEX shown_changed ON shown (changed);

CREATE TABLE journal (
	number  NUMBERED, -- in the order of writing
	rollout TEXT NOT NULL,
	target  TEXT NOT NULL,
	written BIGINT NOT NULL,
	data    TEXT NOT NULL
);
CREATE INDEX journal_target ON journal (rollout, target, number);
CREATE INDEX journal_written ON journal (written);
