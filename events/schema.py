"""The database's tables, as the scripts that lead from each version to the next. Pure.

A script that has been released is never changed: what is different from then on is one more script. The version of a
file is its ``user_version``, the number of scripts that it has seen.
"""

APPLICATION_ID = 0x6D6F7361
"""``mosa``: says whose file it is (sqlite.org/fileformat2.html, section 1.3.13)."""

# The rowid of an event is the number of its last change: `events.store` gives each change the highest.
_FIRST = """
CREATE TABLE events (
    id TEXT PRIMARY KEY,      -- sorts by time
    camera TEXT NOT NULL,
    label TEXT NOT NULL,
    ended_at REAL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL        -- events.words.pack
);
CREATE INDEX events_of_camera ON events (camera, id);
CREATE INDEX events_of_label ON events (label, id);
CREATE INDEX events_open ON events (id) WHERE ended_at IS NULL;

CREATE TABLE event_zones (
    zone TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (zone, event)
) WITHOUT ROWID;
CREATE INDEX zones_of_event ON event_zones (event);

CREATE TABLE tracks (
    camera TEXT NOT NULL,
    label TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    sightings INTEGER NOT NULL,
    best_score REAL NOT NULL,
    median_kmh REAL,
    max_kmh REAL,
    event TEXT
);
CREATE INDEX tracks_by_end ON tracks (ended_at);
CREATE INDEX tracks_of_camera ON tracks (camera, started_at);

CREATE TABLE counts (
    camera TEXT NOT NULL,
    line TEXT NOT NULL,
    direction TEXT NOT NULL,
    label TEXT NOT NULL,
    hour INTEGER NOT NULL,    -- since 1970, UTC
    crossings INTEGER NOT NULL,
    PRIMARY KEY (camera, line, direction, label, hour)
) WITHOUT ROWID;

CREATE TABLE media (
    path TEXT PRIMARY KEY,    -- below the media folder
    event TEXT NOT NULL,
    kind TEXT NOT NULL,
    camera TEXT NOT NULL,
    made_at REAL NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX media_of_event ON media (event);
CREATE INDEX media_by_age ON media (made_at);
"""

_OUTBOX = """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,    -- never used again, so that a late receipt cannot hit another row
    sink TEXT NOT NULL,
    event TEXT NOT NULL,
    kind TEXT NOT NULL,
    queued_at REAL NOT NULL,
    before BLOB,              -- the event as it was last told, NULL when it is new
    body BLOB NOT NULL
);
CREATE INDEX outbox_of_sink ON outbox (sink, seq);
CREATE INDEX outbox_updates ON outbox (sink, seq) WHERE kind = 'update';
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _OUTBOX)
