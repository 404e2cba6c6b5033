"""Faces to names. All cameras share one network, and the questions that wait go through it together.

Knows no track but by its id: it is asked, by frame and landmarks, and answers, and remembers for a while what each
track's face was like.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream import gallery
from jetstream.config import Config
from jetstream.errors import ModelError
from jetstream.ipc.ring import FrameReader
from jetstream.messages import Dropped, InUse, Named, NamedFace, Tick, Wanted
from jetstream.models import open_embedder
from jetstream.vision import align
from jetstream.vision.classifier import NOBODY, Answer, Classifier
from jetstream.vision.quality import measure
from jetstream.vision.swaps import Swaps

LOOK_EVERY_S = 0.1
"""how often a new gallery is looked for; a look costs a few microseconds"""

log = logging.getLogger("jetstream")


def recognize(
    batches: Iterator[Sequence[Wanted | Tick]], rings: FrameReader, config: Config
) -> Iterator[Named | Dropped | InUse]:
    """One Named a Wanted, in order; it holds no faces when the frame has left its ring, which is Dropped (`lapped`).

    Before them, and between two batches where there is a new gallery, which one is InUse.
    """
    known = Known(config)
    swaps: defaultdict[str, Swaps] = defaultdict(Swaps)  # by camera
    with open_embedder(config) as embedder:
        yield known.in_use()
        for messages in batches:
            live = config.pipeline.pace == "live"  # in the other one the same input gives the same output
            if live and known.refresh(time.monotonic()):
                yield known.in_use()
            batch = [message for message in messages if isinstance(message, Wanted)]
            if not batch:
                continue  # a tick
            cut = [_cut(wanted, rings) for wanted in batch]
            fine = [[quality >= config.recognize.min_quality for quality in faces.qualities] for faces in cut]
            chips = np.concatenate([faces.chips[ok] for faces, ok in zip(cut, fine, strict=True)])
            embeddings = embedder.embed(chips, mirror=config.recognize.mirror)
            answers = iter(zip(known.classifier.ask(embeddings), embeddings, strict=True))
            for wanted, faces, ok in zip(batch, cut, fine, strict=True):
                if not len(faces.chips):
                    yield Dropped(camera=wanted.frame.camera, reason="lapped")
                looks = [
                    Look(quality, *next(answers)) if fit else Look(quality)
                    for quality, fit in zip(faces.qualities, ok, strict=True)
                ]
                yield _named(wanted, looks, known.files, swaps[wanted.frame.camera])


class Known:
    """The people of a config, and whoever `learn` or `jetstream train` makes of them meanwhile."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._written = gallery.written(config)
        self._next_s = 0.0
        self._gallery = gallery.open_gallery(config)

    @property
    def classifier(self) -> Classifier:
        return self._gallery.classifier

    @property
    def files(self) -> Sequence[str]:
        """The photo of each row, relative to the faces folder."""
        return self._gallery.files

    def in_use(self) -> InUse:
        return InUse(sha256=self._gallery.sha256, people=len(self.classifier.names), photos=len(self.files))

    def refresh(self, now_s: float) -> bool:
        """Take a new gallery, between two batches; whether there was one. Looks at most every LOOK_EVERY_S."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + LOOK_EVERY_S
        written = gallery.written(self._config)
        if written == self._written:
            return False
        self._written = written
        try:
            self._gallery = gallery.open_gallery(self._config)
        except ModelError as error:
            log.warning("%s; the people known so far stay", error)
            return False
        log.info("a new gallery: %s", self._gallery.summary)
        return True


class Cut(NamedTuple):
    """The faces of one question."""

    chips: NDArray[np.uint8]  # (N, 150, 150, 3) BGR
    qualities: list[float]  # N of 0..1


class Look(NamedTuple):
    """What one face said; nothing, where the look was too poor to be embedded."""

    quality: float
    answer: Answer = NOBODY
    embedding: NDArray[np.float32] | None = None  # (128,)


def _cut(wanted: Wanted, rings: FrameReader) -> Cut:
    """One chip a wanted face, or none when the frame is gone."""
    image = rings.read(wanted.frame.camera, wanted.frame.frame_id)
    if image is None:
        return Cut(np.empty((0, align.CHIP_PX, align.CHIP_PX, 3), np.uint8), [])
    landmarks = np.array([face.landmarks for face in wanted.faces]).reshape(-1, 5, 2)
    chips = align.chips(image, landmarks)
    return Cut(chips, [measure(image, *face).overall for face in zip(landmarks, chips, strict=True)])


def _named(wanted: Wanted, looks: Sequence[Look], files: Sequence[str], swaps: Swaps) -> Named:
    time_s = wanted.frame.time_s
    faces = tuple(
        NamedFace(
            track_id=face.track_id,
            name=answer.name,
            confidence=answer.confidence,
            distance=answer.distance,
            nearest=answer.nearest,
            photo=None if answer.photo is None else files[answer.photo],
            quality=quality,
            moved=embedding is not None
            and swaps.moved(face.track_id, embedding, quality, time_s, named=answer.name is not None),
        )
        for face, (quality, answer, embedding) in zip(wanted.faces, looks, strict=False)
    )
    return Named(frame=wanted.frame, faces=faces)
