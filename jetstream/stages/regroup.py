"""Has new pictures of faces embedded and strangers grouped, in a separate process with low priority.

Handles no frame and holds no network: it looks whether the database has pictures without an embedding, and waits.
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jetstream.child_process import TURN_S, run_background
from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.messages import Tick
from jetstream.sightings import database
from jetstream.sightings.look_embedding import has_new, network_of

LOOK_EVERY_S = 2.0
"""time between two looks into the database"""
RETRY_S = 60.0
"""the same after a failure"""

log = logging.getLogger(__name__)


def regroup(ticks: Iterator[Tick], config: Config) -> None:
    """Start a grouper whenever there are new pictures. What it finds is in the database, so no message is sent."""
    network, next_s = network_of(config), 0.0
    for _tick in ticks:
        now_s = time.monotonic()
        if now_s < next_s:
            time.sleep(min(TURN_S, next_s - now_s))
            continue
        next_s = now_s + LOOK_EVERY_S
        if _is_due(Path(config.sightings.dir), network) and run_background(
            "jetstream.sightings.grouper", msgspec.json.encode(config), ticks
        ):
            log.warning("strangers could not be grouped; it is tried again in %.0f s", RETRY_S)
            next_s = time.monotonic() + RETRY_S


def _is_due(folder: Path, network: str) -> bool:
    """False also while the database can't be read: the stage that writes it says so."""
    with contextlib.suppress(JetstreamError, sqlite3.Error), database.opened(folder) as connection:
        return has_new(connection, network)
    return False
