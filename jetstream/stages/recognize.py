"""Faces to names. All cameras share one network, and the questions that wait go through it together.

Knows no track: it is asked, by frame and landmarks, and answers.
"""

import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jetstream import gallery
from jetstream.config import Config
from jetstream.errors import ModelError
from jetstream.ipc.ring import FrameReader
from jetstream.messages import Dropped, Named, NamedFace, Wanted
from jetstream.models import open_embedder
from jetstream.vision import align
from jetstream.vision.classifier import Answer

LOOK_EVERY_S = 1.0
"""how often a new gallery is looked for"""

log = logging.getLogger("jetstream")


def recognize(batches: Iterator[Sequence[Wanted]], rings: FrameReader, config: Config) -> Iterator[Named | Dropped]:
    """One Named a Wanted, in order; it holds no faces when the frame has left its ring, which is Dropped (`lapped`)."""
    known = Known(config)
    with open_embedder(config) as embedder:
        for batch in batches:
            if config.pipeline.pace == "live":  # in the other one the same input gives the same output
                known.refresh(time.monotonic())
            cut = [_chips(wanted, rings) for wanted in batch]
            answers = iter(known.classifier.ask(embedder.embed(np.concatenate(cut))))
            for wanted, chips in zip(batch, cut, strict=True):
                if not len(chips):
                    yield Dropped(camera=wanted.frame.camera, reason="lapped")
                yield _named(wanted, [next(answers) for _ in chips])


class Known:
    """The people of a config, and whoever `jetstream train` makes of them meanwhile."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._changed_ns = gallery.changed_ns(config)
        self._next_s = 0.0
        self.classifier = gallery.open_classifier(config)

    def refresh(self, now_s: float) -> None:
        """Take a new gallery, if there is one, between two batches; at most once a second looked for."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + LOOK_EVERY_S
        changed_ns = gallery.changed_ns(self._config)
        if changed_ns == self._changed_ns:
            return
        self._changed_ns = changed_ns
        try:
            self.classifier = gallery.open_classifier(self._config)
        except ModelError as error:
            log.warning("%s; the people known so far stay", error)
            return
        log.info("a new gallery: %d people", len(self.classifier.names))


def _chips(wanted: Wanted, rings: FrameReader) -> NDArray[np.uint8]:
    """(N, 150, 150, 3) uint8 BGR: one a wanted face, or none when the frame is gone."""
    image = rings.read(wanted.frame.camera, wanted.frame.frame_id)
    if image is None:
        return np.empty((0, align.CHIP_PX, align.CHIP_PX, 3), np.uint8)
    landmarks = np.array([face.landmarks for face in wanted.faces]).reshape(-1, 5, 2)
    return align.chips(image, landmarks)


def _named(wanted: Wanted, answers: Sequence[Answer]) -> Named:
    faces = tuple(
        NamedFace(
            track_id=face.track_id,
            name=answer.name,
            confidence=answer.confidence,
            distance=answer.distance,
            nearest=answer.nearest,
        )
        for face, answer in zip(wanted.faces, answers, strict=False)
    )
    return Named(frame=wanted.frame, faces=faces)
