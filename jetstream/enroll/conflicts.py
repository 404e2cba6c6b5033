"""Checks new samples against the known people: are they the named person, and not somebody else?

Brings the gallery up to date first; writes nothing else.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import photos, prepare, store
from jetstream.gallery.origin import origin_of
from jetstream.gallery.stored_classifier import as_asked, classifier_of
from jetstream.vision.recognition import sample_selection
from jetstream.vision.recognition.classifier import Classifier

THE_SAME: Final = 0.5
"""Largest distance between the mean embeddings of a person's new samples and photos, for very many of both."""

Progress = Callable[[str, float], None]


class KnownPeople:
    """The embeddings of `name`'s photos, (N, D) float32 with N = 0 for a new person, and everybody's classifier."""

    def __init__(self, name: str, config: Config, progress: Progress) -> None:
        self.name = name
        origin = origin_of(config)
        self._space = origin.space
        self.embeddings = np.empty((0, self._space.size), np.float32)
        self._classifier: Classifier | None = None
        faces, models = Path(config.recognize.faces), Path(config.models.dir)
        if not photos.list_photos(faces).photos:
            return
        prepare.prepare_gallery(config, progress)
        stored = store.read(origin.folder(faces, models))
        rows = [record.row for record in stored.manifest.photos if record.person == name and record.row is not None]
        self.embeddings = np.asarray(stored.arrays["embeddings"][rows], np.float32).reshape(-1, self._space.size)
        self._classifier = as_asked(classifier_of(stored, origin), config)

    def check(self, new: NDArray[np.float32], *, force: bool) -> None:
        """Raises UserError when the (M, D) new embeddings are not this person's, or are somebody else's.

        With `force` it checks nothing.
        """
        if force:
            return
        other, share = self._taken_for(new)
        if share >= 0.5:
            raise UserError(
                f"{self.name}: looks like {other}; if it is {other}, enroll {other}; "
                "if they are two people, use --force. Nothing was changed"
            )
        if not len(self.embeddings):
            return
        distance = float(np.linalg.norm(new.mean(axis=0) - self.embeddings.mean(axis=0)))
        most = sample_selection.limit(THE_SAME, len(new), len(self.embeddings), self._space)
        if distance > most:
            count = len(self.embeddings)
            enrolled = "the enrolled photo" if count == 1 else f"the {count} enrolled photos"
            raise UserError(
                f"{self.name}: doesn't look like {enrolled} (distance {distance:.2f}, expected at most {most:.2f}); "
                "if it is the same person, use --force. Nothing was changed"
            )

    def _taken_for(self, new: NDArray[np.float32]) -> tuple[str, float]:
        """The other person whose name most of the new embeddings get, and the share that do."""
        answers = self._classifier.ask(new) if self._classifier is not None else []
        names = Counter(answer.name for answer in answers if answer.name not in (None, self.name))
        return max(
            ((str(name), n / len(new)) for name, n in names.items()), key=lambda pair: pair[1], default=("", 0.0)
        )
