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

from jetstream.config.schema import Config, RecognizeConfig
from jetstream.errors import ModelError
from jetstream.gallery import train
from jetstream.ipc.frames import FrameView
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Dropped, InUse, Named, NamedFace, Tick, Wanted
from jetstream.networks.open import open_embedder
from jetstream.vision.recognition import align
from jetstream.vision.recognition.classifier import NOBODY, Answer, Classifier
from jetstream.vision.recognition.embedder import CHIP_SHAPE, EMBEDDING_SIZE, Embedder, EmbedderOutput
from jetstream.vision.recognition.quality import measure
from jetstream.vision.tracking.id_switches import IdSwitchDetector

LOOK_EVERY_S = 0.1
"""how often a new gallery is looked for; a look costs a few microseconds"""
TELL_EVERY_S = 5.0
"""how often it is told again which gallery is in use: some who listen came later"""

log = logging.getLogger("jetstream")


def recognize(
    batches: Iterator[Sequence[Wanted | Tick]], rings: FrameReader, config: Config
) -> Iterator[Named | Dropped | InUse]:
    """One Named a Wanted, in order; it holds no faces when the frame has left its ring, which is Dropped (`lapped`).

    Before them, and between two batches where there is a new gallery and every TELL_EVERY_S, which one is InUse.
    """
    known = GalleryWatcher(config)
    swaps: defaultdict[str, IdSwitchDetector] = defaultdict(IdSwitchDetector)  # by camera
    with open_embedder(config) as embedder:
        yield known.in_use()
        told_s = time.monotonic()
        for messages in batches:
            live = config.pipeline.pace == "live"  # in the other one the same input gives the same output
            now_s = time.monotonic()
            if live and (known.refresh(now_s) or now_s - told_s > TELL_EVERY_S):
                yield known.in_use()
                told_s = now_s
            batch = [message for message in messages if isinstance(message, Wanted)]
            if not batch:
                continue  # a tick
            looks = (_looks_in_place if embedder.reads_in_place else _looks)(batch, rings, embedder, config.recognize)
            fine = [look.embedding for faces in looks for look in faces if look.embedding is not None]
            answers = iter(known.classifier.ask(np.array(fine, np.float32).reshape(-1, EMBEDDING_SIZE)))
            for wanted, faces in zip(batch, looks, strict=True):
                if not faces:
                    yield Dropped(camera=wanted.frame.camera, reason="lapped")
                told = [NOBODY if look.embedding is None else next(answers) for look in faces]
                yield _named(wanted, faces, told, known.files, swaps[wanted.frame.camera])


class GalleryWatcher:
    """The people of a config, and whoever `learn` or `jetstream train` makes of them meanwhile."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._written = train.written(config)
        self._next_s = 0.0
        self._gallery = train.open_gallery(config)

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
        written = train.written(self._config)
        if written == self._written:
            return False
        self._written = written
        try:
            self._gallery = train.open_gallery(self._config)
        except ModelError as error:
            log.warning("%s; the people known so far stay", error)
            return False
        log.info("a new gallery: %s", self._gallery.summary)
        return True


class FaceLook(NamedTuple):
    """One face: how good its look is and, unless that is too poor to say anything, what it is like."""

    quality: float
    embedding: NDArray[np.float32] | None  # (128,)


def _looks(
    batch: Sequence[Wanted], rings: FrameReader, embedder: Embedder, settings: RecognizeConfig
) -> list[list[FaceLook]]:
    """The wanted faces of each question, or none when its frame is gone."""
    cut = [_cut(wanted, rings) for wanted in batch]
    fine = [chip for faces in cut for quality, chip in faces if quality >= settings.min_quality]
    chips = np.array(fine, np.uint8).reshape(-1, *CHIP_SHAPE)
    embeddings = iter(embedder.embed(chips, mirror=settings.mirror))
    return [
        [FaceLook(quality, next(embeddings) if quality >= settings.min_quality else None) for quality, _ in faces]
        for faces in cut
    ]


def _cut(wanted: Wanted, rings: FrameReader) -> list[tuple[float, NDArray[np.uint8]]]:
    image = rings.read(wanted.frame.camera, wanted.frame.frame_id)
    if image is None:
        return []
    landmarks = _landmarks(wanted)
    chips = align.chips(image, landmarks)
    return [(measure(image, *face).overall, face[1]) for face in zip(landmarks, chips, strict=True)]


def _looks_in_place(
    batch: Sequence[Wanted], rings: FrameReader, embedder: Embedder, settings: RecognizeConfig
) -> list[list[FaceLook]]:
    """As `_looks`, with all faces embedded: a GPU has their embeddings before anybody has seen their chips."""
    views = [rings.view(wanted.frame.camera, wanted.frame.frame_id) for wanted in batch]
    pictures = [(view.image, _landmarks(wanted)) for view, wanted in zip(views, batch, strict=True) if view is not None]
    looked = iter(embedder.look(pictures, mirror=settings.mirror))
    return [
        [] if view is None else _judged(view, _landmarks(wanted), next(looked), settings.min_quality)
        for view, wanted in zip(views, batch, strict=True)
    ]


def _judged(
    view: FrameView, landmarks: NDArray[np.float64], looked: EmbedderOutput, min_quality: float
) -> list[FaceLook]:
    """Nothing of a frame that was overwritten meanwhile."""
    if not view.still_valid():
        return []
    qualities = [measure(view.image, *face).overall for face in zip(landmarks, looked.chips, strict=True)]
    return [
        FaceLook(quality, embedding if quality >= min_quality else None)
        for quality, embedding in zip(qualities, looked.embeddings, strict=True)
    ]


def _landmarks(wanted: Wanted) -> NDArray[np.float64]:
    return np.array([face.landmarks for face in wanted.faces], np.float64).reshape(-1, 5, 2)


def _named(
    wanted: Wanted, looks: Sequence[FaceLook], answers: Sequence[Answer], files: Sequence[str], swaps: IdSwitchDetector
) -> Named:
    time_s = wanted.frame.time_s
    faces = tuple(
        NamedFace(
            track_id=face.track_id,
            name=answer.name,
            confidence=answer.confidence,
            distance=answer.distance,
            nearest=answer.nearest,
            photo=None if answer.photo is None else files[answer.photo],
            quality=look.quality,
            moved=look.embedding is not None
            and swaps.moved(face.track_id, look.embedding, look.quality, time_s, named=answer.name is not None),
        )
        for face, look, answer in zip(wanted.faces, looks, answers, strict=False)
    )
    return Named(frame=wanted.frame, faces=faces)
