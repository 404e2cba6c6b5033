"""The classifier of a stored gallery, with the thresholds that a config asks for.

Knows no photo and no network.
"""

from jetstream.config.schema import Config, RecognizeConfig
from jetstream.gallery import strangers
from jetstream.gallery.origin import GalleryOrigin
from jetstream.gallery.store import StoredGallery
from jetstream.vision.recognition.classifier import Classifier

TRAINED_RATE = RecognizeConfig().false_accept_rate
"""rate of the calibration that a manifest stores, so that a gallery doesn't depend on the config it is opened with"""


def classifier_of(stored: StoredGallery, origin: GalleryOrigin) -> Classifier:
    """The classifier at TRAINED_RATE. A gallery of before 2026-11-29 is calibrated anew. Raises ModelError."""
    background = None if "centre" in stored.arrays else strangers.faces(origin.embedder.background)
    return Classifier.from_arrays(
        stored.arrays, origin.space, false_accept_rate=TRAINED_RATE, max_distance=None, background=background
    )


def as_asked(classifier: Classifier, config: Config) -> Classifier:
    """The same people, with thresholds for `false_accept_rate`, or `max_distance` where that is set."""
    limit = config.recognize.max_distance
    asked = classifier.with_rate(config.recognize.false_accept_rate)
    return asked if limit is None else asked.with_max_distance(limit)
