"""The tables of the database of sightings, as SQL: one step for each version of it."""

from typing import Final

DOUBTFUL: Final = "verdict = '' AND name IS NOT NULL AND confidence < 0.8 AND state != 'merged'"
"""Names that a human should look at, as SQLite needs it to use the index. Of names shown with 50 to 80 %, 97.9 % are
right (docs/accuracy.md); most wrong ones are below."""

# Each brings the database from its place in this list to the next version. Never changed, only added to.
MIGRATIONS: Final = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE sightings (
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        area TEXT NOT NULL,
        state TEXT NOT NULL,
        name TEXT,
        verdict TEXT NOT NULL DEFAULT '',
        corrected TEXT,
        stranger INTEGER,
        begin_ns INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        begin_s REAL NOT NULL,
        end_s REAL NOT NULL,
        confidence REAL NOT NULL,
        why TEXT NOT NULL,
        gallery TEXT NOT NULL,
        merged_into TEXT,
        person TEXT GENERATED ALWAYS AS (
            CASE verdict WHEN '' THEN name WHEN 'name' THEN corrected WHEN 'not' THEN nullif(name, corrected) END
        ) VIRTUAL
    );
    CREATE INDEX sightings_by_last_letters ON sightings (substr(id, -4));
    CREATE INDEX sightings_by_begin ON sightings (begin_ns);
    CREATE INDEX sightings_long ON sightings (end_ns) WHERE end_ns - begin_ns > 14400000000000;
    CREATE INDEX people_by_end ON sightings (end_ns) WHERE person IS NOT NULL;
    CREATE INDEX strangers_by_end ON sightings (end_ns) WHERE person IS NULL;
    CREATE INDEX sightings_by_person ON sightings (person, begin_ns);
    CREATE INDEX sightings_by_camera ON sightings (camera, begin_ns);
    CREATE INDEX sightings_by_stranger
        ON sightings (stranger, begin_ns, end_ns, camera, state, verdict, name, corrected)
        WHERE stranger IS NOT NULL;
    CREATE INDEX sightings_open ON sightings (n) WHERE state = 'open';
    CREATE INDEX sightings_corrected ON sightings (n) WHERE verdict != '';
    CREATE TABLE zones (
        sighting INTEGER NOT NULL REFERENCES sightings (n) ON DELETE CASCADE,
        zone TEXT NOT NULL,
        first_ns INTEGER NOT NULL,
        begin_ns INTEGER NOT NULL,
        PRIMARY KEY (sighting, zone)
    ) WITHOUT ROWID;
    CREATE INDEX zones_by_name ON zones (zone, begin_ns);
    CREATE TABLE looks (
        n INTEGER PRIMARY KEY,
        sighting INTEGER NOT NULL REFERENCES sightings (n) ON DELETE CASCADE,
        file TEXT NOT NULL UNIQUE,
        taken_ns INTEGER NOT NULL,
        quality REAL NOT NULL,
        turned REAL NOT NULL,
        landmarks TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        network TEXT NOT NULL DEFAULT '',
        embedding BLOB
    );
    CREATE INDEX looks_of ON looks (sighting, quality);
    CREATE INDEX looks_by_age ON looks (taken_ns, bytes);
    CREATE INDEX looks_by_network ON looks (network);
    CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ns INTEGER NOT NULL,
        change TEXT NOT NULL,
        sighting_id TEXT NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX changes_of ON changes (sighting_id);
    CREATE TABLE corrections (
        n INTEGER PRIMARY KEY,
        sighting_id TEXT NOT NULL,
        at_ns INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        name TEXT,
        photo TEXT,
        undone_ns INTEGER
    );
    CREATE INDEX corrections_of ON corrections (sighting_id);
    CREATE TABLE strangers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        merged_into INTEGER,
        first_ns INTEGER NOT NULL
    );
    CREATE INDEX strangers_merged ON strangers (merged_into) WHERE merged_into IS NOT NULL;
    CREATE TABLE renames (key BLOB PRIMARY KEY, name TEXT, at_ns INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE erased (id TEXT PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
    """,
    f"""
    CREATE TABLE stranger_merges (
        n INTEGER PRIMARY KEY, one INTEGER NOT NULL, other INTEGER NOT NULL, at_ns INTEGER NOT NULL, done_ns INTEGER
    );
    CREATE INDEX stranger_merges_due ON stranger_merges (n) WHERE done_ns IS NULL;
    CREATE TABLE pinned (
        sighting INTEGER PRIMARY KEY REFERENCES sightings (n) ON DELETE CASCADE
    );
    CREATE INDEX sightings_doubtful ON sightings (begin_ns) WHERE {DOUBTFUL};
    """,
    """
    CREATE INDEX sightings_merged ON sightings (merged_into) WHERE merged_into IS NOT NULL;
    """,
)
