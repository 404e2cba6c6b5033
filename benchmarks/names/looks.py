"""Embeddings of sets of portraits, clean or made worse, kept in a folder so that a protocol runs again in seconds.

Knows no rule and no threshold. A set is a folder `<person>/<photo>`; in a folder `_strangers` each photo is a person.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.names.degradations import degrade
from jetstream import weights
from jetstream.errors import SourceError
from jetstream.gallery import photo_faces
from jetstream.networks import embedders
from jetstream.networks.embedders import EmbedderEntry
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.video.images import read_image
from jetstream.vision.detection.detector import Detector, faces_in
from jetstream.vision.detection.mtcnn import MtcnnDetector
from jetstream.vision.recognition.embedder import Embedder
from jetstream.vision.recognition.quality import measure
from tests.support import defaults

CLEAN = "clean"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".pgm"}


class Looks(NamedTuple):
    """The faces of a set that were found."""

    embeddings: NDArray[np.float32]  # (N, D)
    people: NDArray[np.str_]  # (N,)
    photos: NDArray[np.intp]  # (N,) number of the photo in its set, the same for every degradation
    qualities: NDArray[np.float32]  # (N,) 0..1
    missed: int  # photos without a face


class Studio(NamedTuple):
    """What makes looks of one network."""

    entry: EmbedderEntry
    embedder: Embedder
    detector: Detector
    kept: Path  # folder of what was embedded before

    @classmethod
    def of(cls, name: str, models: Path, kept: Path) -> "Studio":
        paths, entry = weights.paths(models), embedders.named(name, models)
        nets = (OnnxRunner(paths.pnet), OnnxRunner(paths.rnet), OnnxRunner(paths.onet))
        detector = MtcnnDetector(defaults.mtcnn(*nets, thresholds=(0.6, 0.7, 0.7), factor=0.709))
        return cls(entry, defaults.embedder(OnnxRunner(entry.path), entry.spec), detector, kept)

    def looks(self, folder: Path, degradation: str = CLEAN, most: int = 12) -> Looks:
        """Of at most `most` photos a person; a person alone in `_strangers` has one."""
        listed = portraits(folder, most)
        key = hashlib.sha256(repr([self.entry.sha256, degradation, [str(p) for _, p in listed]]).encode()).hexdigest()
        path = self.kept / f"{folder.name}-{degradation}-{self.entry.spec.name}-{key[:12]}.npz"
        if not path.is_file():
            self.kept.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **self._embedded(listed, degradation)._asdict())
        with np.load(path) as stored:
            return Looks(**{name: stored[name] for name in Looks._fields[:-1]}, missed=int(stored["missed"]))

    def _embedded(self, listed: list[tuple[str, Path]], degradation: str) -> Looks:
        found, people, photos, qualities = [], [], [], []
        for number, (person, path) in enumerate(listed):
            if (look := self._look(path, degradation, number)) is None:
                continue
            found.append(look[0])
            people.append(person)
            photos.append(number)
            qualities.append(look[1])
        size = self.entry.spec.space.size
        return Looks(
            np.array(found, np.float32).reshape(-1, size),
            np.array(people, np.str_),
            np.array(photos, np.intp),
            np.array(qualities, np.float32),
            len(listed) - len(found),
        )

    def _look(self, path: Path, degradation: str, seed: int) -> tuple[NDArray[np.float32], float] | None:
        try:
            image = photo_faces._shrunk(read_image(path))
        except SourceError:
            return None
        place = self._largest(image)
        if place is None:
            return None
        image, points = place
        if degradation != CLEAN:
            worse = degrade(degradation, image, points, seed)
            place = self._largest(worse.image)
            if place is None or np.hypot(*(place[1] - worse.landmarks).mean(axis=0)) > np.ptp(worse.landmarks[:, 0]):
                return None  # another face, or none
            image, points = place
        (output,) = self.embedder.look([(image, points[None])], mirror=self.entry.is_mirrored)
        return output.embeddings[0], measure(image, points).overall

    def _largest(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
        """The landmarks of the largest face, in the picture or in one with a wider border."""
        for picture in (image, photo_faces._bordered(image)[0]):
            found = faces_in(self.detector, picture)
            if len(found.boxes):
                return picture, found.landmarks[photo_faces._largest(found)]
        return None


def portraits(folder: Path, most: int) -> list[tuple[str, Path]]:
    """(person, photo) of at most `most` photos a person, evenly taken."""
    listed: list[tuple[str, Path]] = []
    for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in inside.iterdir() if path.suffix.lower() in SUFFIXES)
        if inside.name == "_strangers":
            listed += [(path.stem, path) for path in files]
        else:
            listed += [(inside.name, path) for path in files[:: -(-len(files) // most) or 1][:most]]
    return listed
