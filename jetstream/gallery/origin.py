"""Which detector, embedding network and alignment made a gallery, and whether they are the current ones.

Knows no photo and opens no network.
"""

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

from jetstream import weights
from jetstream.errors import ModelError
from jetstream.gallery.store import MANIFEST, Manifest, read_manifest
from jetstream.vision.detection.detector import DetectorIdentity
from jetstream.vision.recognition import align

log = logging.getLogger(__name__)


class GalleryOrigin(NamedTuple):
    """The networks that a gallery's embeddings come from."""

    embedder_sha256: str
    detector: DetectorIdentity

    def has_made(self, manifest: Manifest) -> bool:
        """Whether a gallery trained now from the same photos would hold the same embeddings."""
        return (
            manifest.model_sha256 == self.embedder_sha256
            and manifest.alignment == align.ALIGNMENT_VERSION
            and not self.other_detector(manifest)
        )

    def other_detector(self, manifest: Manifest) -> str:
        """Name and sha256 of the gallery's detector where it isn't this one, else "". A name alone fits any sha256."""
        if manifest.detector == self.detector.name and manifest.detector_sha256 in ("", self.detector.sha256):
            return ""
        return _shown(DetectorIdentity(manifest.detector, manifest.detector_sha256))


def origin_of(models_dir: Path, found_by: DetectorIdentity) -> GalleryOrigin:
    """The origin of a gallery that is trained now. Raises ModelError where the embedder isn't built."""
    path = weights.paths(models_dir).embedder
    try:
        return GalleryOrigin(hashlib.sha256(path.read_bytes()).hexdigest(), found_by)
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror}); run `jetstream models`") from None


def warn_unusable(folder: Path, origin: GalleryOrigin, name: str) -> None:
    """Log why all photos are embedded again. One line where another detector made both versions."""
    try:
        other = origin.other_detector(read_manifest(folder, name))
    except (OSError, ModelError):
        other = ""
    if not other:
        log.warning("%s: damaged, or made by another version; trained again from the photos", folder / name)
    elif name == MANIFEST:
        here = _shown(origin.detector)
        log.warning(
            "%s: made with another face detector (%s, now %s); trained again from the photos", folder, other, here
        )


def _shown(detector: DetectorIdentity) -> str:
    """The detector as text, such as "mtcnn 0123456789ab"."""
    return f"{detector.name} {detector.sha256[:12]}".rstrip()
