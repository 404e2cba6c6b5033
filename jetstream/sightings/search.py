"""Was this face ever here? Every sighting whose looks resemble the face of a photo, the nearest first.

All looks are compared, of known people and of strangers alike.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream import files
from jetstream.config.schema import Config
from jetstream.errors import SourceError, UserError
from jetstream.gallery import strangers
from jetstream.gallery.counter_examples import LookJudge
from jetstream.gallery.photo_faces import NO_FACE, REMEDIES
from jetstream.networks.embedders import embedder_of
from jetstream.sighting import FoundSighting, Sighting
from jetstream.sightings import rows, tables
from jetstream.sightings.look_embedding import network_of, unpacked
from jetstream.video.images import read_image
from jetstream.vision.drawing.sheet import SheetTile, sheet
from jetstream.vision.recognition.face_search import FaceSearch
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

LOOKS_A_SIGHTING: Final = 10
"""the largest `sightings.looks`: so many of the nearest looks may be of one sighting"""
SHEETS: Final = (".jpg", ".jpeg", ".png")
"""suffixes of a sheet's file"""
COLUMNS: Final = 6


def embedding_of(photo: Path, judge: LookJudge) -> NDArray[np.float32]:
    """(D,) of the largest face in a photo. Raises UserError: none can be used; ModelError."""
    face = judge.face_of(photo)
    if face.embedding is None:
        raise UserError(f"{photo}: {REMEDIES.get(face.refused or NO_FACE, face.refused)}")
    return face.embedding


def search(
    connection: sqlite3.Connection,
    face: NDArray[np.float32],
    config: Config,
    *,
    from_ns: int | None = None,
    to_ns: int | None = None,
    most: int = 20,
) -> list[FoundSighting]:
    """The up to `most` sightings that resemble a face (D,) most, the nearest first, of the time between.

    Raises sqlite3.Error; ModelError: the network isn't built.
    """
    entry, network = embedder_of(config), network_of(config)
    numbers, embeddings = _looks(connection, network, from_ns, to_ns)
    if not len(numbers):
        return []
    likeness = StrangerLikeness.of(entry.spec.space, strangers.faces(entry.background))
    nearest = FaceSearch(embeddings, likeness).nearest(face, most * LOOKS_A_SIGHTING)
    best: dict[int, tuple[float, float, str]] = {}
    for row, distance, probability in zip(*nearest, strict=True):
        sighting, file = connection.execute(
            "SELECT sighting, file FROM looks WHERE n = ?", (int(numbers[row]),)
        ).fetchone()
        best.setdefault(sighting, (float(probability), float(distance), file))
        if len(best) == most:
            break
    return [
        FoundSighting(sighting, probability, distance, file)
        for (probability, distance, file), sighting in zip(
            best.values(), _sightings(connection, list(best)), strict=True
        )
    ]


def _looks(
    connection: sqlite3.Connection, network: str, from_ns: int | None, to_ns: int | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row numbers (N,) of all looks that the network has embedded, and their embeddings (N, D)."""
    found = connection.execute(
        "SELECT n, embedding FROM looks WHERE network = ? AND embedding IS NOT NULL AND taken_ns >= ? AND taken_ns < ?",
        (network, from_ns if from_ns is not None else 0, to_ns if to_ns is not None else 2**63 - 1),
    ).fetchall()
    return np.array([n for n, _ in found], np.int64), unpacked([embedding for _, embedding in found])


def _sightings(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Sighting]:
    by_number = f"SELECT {rows.COLUMNS} FROM sightings WHERE n = ?"
    return rows.sightings(connection, [connection.execute(by_number, (n,)).fetchone() for n in numbers])


def sheet_of(photo: Path, found: Sequence[FoundSighting], folder: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: the photo, then the looks that were found, each with who, when and how likely."""
    tiles = [SheetTile(_read(photo), ("asked for", photo.name, ""))]
    for one in found:
        when = tables.local(one.sighting.begin)
        lines = (f"{one.probability:.0%} {one.sighting.who}", when, one.sighting.camera)
        tiles.append(SheetTile(_read(folder / one.look), lines))
    return sheet(tiles, COLUMNS)


def _read(path: Path) -> NDArray[np.uint8] | None:
    try:
        return read_image(path)
    except SourceError:  # retention deleted it a moment ago
        return None


def check_sheet(path: Path) -> None:
    """Raises UserError: the name says no format that a sheet can be written in."""
    if path.suffix.lower() not in SHEETS:
        raise UserError(f"--out {path}: a sheet is a JPEG or PNG; name a file that ends with {', '.join(SHEETS)}")


def write(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a sheet that `check_sheet` lets pass, readable by this user alone. Raises UserError."""
    done, content = cv2.imencode(path.suffix, image)
    assert done
    try:
        files.replace(path, content.tobytes(), mode=0o600)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror}; name a file in a folder that can be written") from None
