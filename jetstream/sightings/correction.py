"""What a human says of a sighting: another name, not the name it bore, or nobody to be named; and the way back.

The machine's own name stays beside it, so that measured errors stay honest. The sighting's best look teaches the
gallery: as a photo of the person, as a counter-example of one, or as a stranger's. Doesn't train.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import counter_examples, photos
from jetstream.gallery.counter_examples import LookJudge
from jetstream.sighting import Correction, Sighting
from jetstream.sightings import changes, correction_history, database, reader
from jetstream.sightings.database import transaction


class CorrectedSighting(NamedTuple):
    """A sighting after a correction."""

    sighting: Sighting
    photo: Path | None  # the look that was taken to learn from, or that was taken back; None: none
    note: str = ""  # why nothing is learnt


def correct(
    config: Config, id_: str, verdict: Correction, name: str | None, judge: LookJudge | None
) -> CorrectedSighting:
    """Correct the sighting with this id. `verdict`: not ""; `name`: with "name" alone. Without `judge`, the gallery
    learns nothing from it.

    Raises UserError: no such sighting or person, or a name that can't be one; nothing is changed then.
    """
    folder = Path(config.sightings.dir)
    with database.opened(folder, write=True, wait_s=database.COMMAND_WAIT_S) as connection:
        sighting = reader.one(connection, id_)
        if verdict == "name":
            name = photos.check_new_name(name or "")
        if verdict == "not" and sighting.machine_name is None:
            raise UserError(f"{sighting.id}: bears no name; say who it is with --name, or --ignore")
        if verdict == "not":
            name = sighting.machine_name
        photo, note = _taught(config, sighting, verdict, name, judge) if judge else (None, "")
        with ExitStack() as back:
            if photo is not None:
                back.callback(counter_examples.undo, photo)
            with transaction(connection):
                sighting = reader.one(connection, sighting.id)  # it may have become a part of another one meanwhile
                _store(connection, sighting, verdict, name, photo)
            back.pop_all()
        return CorrectedSighting(reader.one(connection, sighting.id), photo, note)


def undo(config: Config, id_: str) -> CorrectedSighting:
    """Take back the newest correction of a sighting, and the photo that it gave. Raises UserError: there is none."""
    folder = Path(config.sightings.dir)
    with database.opened(folder, write=True, wait_s=database.COMMAND_WAIT_S) as connection:
        sighting = reader.one(connection, id_)
        parts = correction_history.parts(connection, sighting.id)
        made = connection.execute(
            "SELECT n, photo, verdict, name FROM corrections "
            f"WHERE sighting_id IN ({','.join('?' * len(parts))}) AND undone_ns IS NULL ORDER BY n DESC",
            parts,
        ).fetchall()
        if not made:
            raise UserError(f"{sighting.id}: has no correction that could be taken back")
        n, photo, _, _ = made[0]
        verdict, name = made[1][2:] if len(made) > 1 else ("", None)
        with transaction(connection):
            connection.execute("UPDATE corrections SET undone_ns = ? WHERE n = ?", (time.time_ns(), n))
            _set(connection, sighting.id, verdict, name)
        path = None if photo is None else Path(photo)
        if path is not None and path.parent.is_dir():
            counter_examples.undo(path)
        return CorrectedSighting(reader.one(connection, sighting.id), path)


def _taught(
    config: Config, sighting: Sighting, verdict: Correction, name: str | None, judge: LookJudge
) -> tuple[Path | None, str]:
    """The photo that the gallery shall learn from, made of the best look that it can learn from; else why not.

    name  of the person that it is or, with "not", isn't
    """
    keeps: dict[Correction, Callable[[NDArray[np.uint8], str], Path]] = {
        "name": lambda image, source: counter_examples.keep_photo(config, name or "", image, source, judge),
        "not": lambda image, source: counter_examples.keep(config, name or "", image, source, judge),
        "ignore": lambda image, source: counter_examples.keep_stranger(config, image, source, judge),
    }
    why = "it has no picture of the face"
    for look in sighting.looks:
        image = cv2.imread(str(Path(config.sightings.dir) / look), cv2.IMREAD_COLOR)
        if image is None:
            continue
        try:
            return keeps[verdict](np.asarray(image, np.uint8), f"sighting {sighting.id}"), ""
        except UserError as error:
            why = str(error)
    return None, why


def _store(
    connection: sqlite3.Connection, sighting: Sighting, verdict: Correction, name: str | None, photo: Path | None
) -> None:
    connection.execute(
        "INSERT INTO corrections (sighting_id, at_ns, verdict, name, photo) VALUES (?, ?, ?, ?, ?)",
        (sighting.id, time.time_ns(), verdict, name, None if photo is None else str(photo.absolute())),
    )
    _set(connection, sighting.id, verdict, name)


def _set(connection: sqlite3.Connection, sighting_id: str, verdict: str, name: str | None) -> None:
    connection.execute("UPDATE sightings SET verdict = ?, corrected = ? WHERE id = ?", (verdict, name, sighting_id))
    changes.add(connection, "corrected", sighting_id)
