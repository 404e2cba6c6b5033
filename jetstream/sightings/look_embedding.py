"""Embeds the looks in the database, so that strangers can be grouped and faces searched.

Embeddings stay in this process and in the file: none travels.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.networks.embedders import embedder_of, is_mirrored
from jetstream.sightings import stranger_merges
from jetstream.sightings.database import transaction
from jetstream.vision.recognition import align
from jetstream.vision.recognition.embedder import Embedder

MOST_AT_ONCE: Final = 16
STORED: Final = np.dtype("<f2")
"""Half precision: it changes a distance by less than 0.001, and looks are half as large."""


class LookEmbedder:
    """Embeds looks with one network. `network`: see `network_of`."""

    def __init__(self, folder: Path, embedder: Embedder, network: str, *, mirror: bool) -> None:
        self._folder, self._embedder, self._network, self._mirror = folder, embedder, network, mirror

    def embed_some(self, connection: sqlite3.Connection) -> list[int]:
        """Embed up to MOST_AT_ONCE looks that this network hasn't embedded; row numbers of their sightings.

        A look that can't be read gets no embedding, and isn't tried again. Raises sqlite3.Error.
        """
        found = _new(connection, self._network, MOST_AT_ONCE)
        chips, readable = [], []
        for n, _, file, landmarks in found:
            chip = self._chip(file, landmarks)
            if chip is not None:
                chips.append(chip)
                readable.append(n)
        shape = self._embedder.spec.template.shape
        embeddings = self._embedder.embed(np.array(chips, np.uint8).reshape(-1, *shape), mirror=self._mirror)
        stored = dict(zip(readable, embeddings, strict=True))
        with transaction(connection):
            connection.executemany(
                "UPDATE looks SET network = ?, embedding = ? WHERE n = ?",
                [(self._network, packed(stored[n]) if n in stored else None, n) for n, *_ in found],
            )
        return sorted({sighting for _, sighting, *_ in found})

    def _chip(self, file: str, landmarks: str) -> NDArray[np.uint8] | None:
        image = cv2.imread(str(self._folder / file), cv2.IMREAD_COLOR)
        if image is None:
            return None
        points = np.array(msgspec.json.decode(landmarks, type=list[float]), np.float64).reshape(1, 5, 2)
        (chip,) = align.chips(np.asarray(image, np.uint8), points, self._embedder.spec.template)
        return np.asarray(chip, np.uint8)


def has_new(connection: sqlite3.Connection, network: str) -> bool:
    """Whether there are looks that the network hasn't embedded, or strangers of whom a human said that they are one.
    Raises sqlite3.Error."""
    return bool(_new(connection, network, 1) or stranger_merges.pending(connection))


def _new(connection: sqlite3.Connection, network: str, most: int) -> list[tuple[int, int, str, str]]:
    """Looks that the network hasn't embedded: row number, that of the sighting, file, landmarks."""
    columns = "SELECT n, sighting, file, landmarks FROM looks WHERE network"
    return connection.execute(f"{columns} < ? UNION ALL {columns} > ? LIMIT ?", (network, network, most)).fetchall()


def network_of(config: Config) -> str:
    """What names the config's network, and how it is used, in the database: embeddings of two can't be compared.

    Raises ModelError: it isn't built.
    """
    said = f"{embedder_of(config).sha256} {is_mirrored(config)}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def packed(embedding: NDArray[np.float32]) -> bytes:
    """An embedding (D,) as the database holds it."""
    return embedding.astype(STORED).tobytes()


def unpacked(blobs: Sequence[bytes]) -> NDArray[np.float32]:
    """Embeddings (N, D) from the database; all of one network."""
    if not blobs:
        return np.empty((0, 0), np.float32)
    return np.frombuffer(b"".join(blobs), STORED).reshape(len(blobs), -1).astype(np.float32)
