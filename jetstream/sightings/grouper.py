"""Embeds new looks and groups strangers, in a separate process beside a running pipeline, with low priority:
`python -m jetstream.sightings.grouper PID`

PID is the parent's. The config comes as JSON on standard input. The sidecar `regroup` starts this process, which ends
when nothing has been new for IDLE_S, so that its memory is free.
"""

import logging
import sqlite3
import sys
import time
from pathlib import Path
from typing import Final

from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.gallery import strangers
from jetstream.gallery.learner import begin
from jetstream.networks.embedders import embedder_of, is_mirrored
from jetstream.networks.open import open_embedder
from jetstream.sightings import database, lock
from jetstream.sightings.look_embedding import LookEmbedder, network_of
from jetstream.sightings.stranger_store import StrangerStore
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

IDLE_S: Final = 30.0
TURN_S: Final = 0.5
"""time between two looks for new pictures"""
WAIT_S: Final = 5.0
"""how long a transaction of the recorder may be waited for"""

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Group; returns the exit code: 1 where the database can't be used, and a log line says why."""
    config = begin("regroup", int(arguments[0]))
    if config is None:
        return 1
    try:
        group(config, idle_s=IDLE_S)
    except (JetstreamError, sqlite3.Error) as error:
        log.warning("%s; strangers are grouped later", error)
        return 1  # it is started again after a while, not at once
    return 0


def group(config: Config, *, idle_s: float) -> None:
    """Embed all looks and group all strangers, until nothing has been new for `idle_s`.

    Raises JetstreamError, sqlite3.Error: the network or the database can't be used, or another grouper is at work.
    """
    folder, network = Path(config.sightings.dir), network_of(config)
    with (
        lock.held(folder / "grouper.lock"),
        database.opened(folder, write=True, wait_s=WAIT_S) as connection,
        open_embedder(config) as embedder,
    ):
        looks = LookEmbedder(folder, embedder, network, mirror=is_mirrored(config))
        changed = _embed_all(looks, connection)  # first: with another network than before, the groups are read with it
        space, drawn = embedder.spec.space, strangers.faces(embedder_of(config).background)
        store = StrangerStore(connection, space, StrangerLikeness.of(space, drawn), network)
        changed = sorted({*changed, *store.missed()})
        version, new_s = -1, time.monotonic()
        while True:
            for n in changed:
                store.add(n)
            if changed := _embed_all(looks, connection):
                new_s = time.monotonic()
                continue
            now = int(connection.execute("PRAGMA data_version").fetchone()[0])
            if now != version:
                version = now
                store.merge_asked()
                store.drop_gone(time.monotonic())
            if time.monotonic() - new_s >= idle_s:
                return
            time.sleep(TURN_S)


def _embed_all(looks: LookEmbedder, connection: sqlite3.Connection) -> list[int]:
    """Embed all looks that are new; row numbers of their sightings."""
    changed: set[int] = set()
    while some := looks.embed_some(connection):
        changed.update(some)
    return sorted(changed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
