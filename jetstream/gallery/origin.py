"""Which detector, embedding network and alignment made a gallery, and whether they are the current ones.

Knows no photo and opens no network.
"""

import logging
from pathlib import Path
from typing import NamedTuple

from jetstream.config.galleries import gallery_dir
from jetstream.config.schema import Config
from jetstream.errors import ModelError
from jetstream.gallery.store import MANIFEST, Manifest, read_manifest
from jetstream.networks.embedders import EmbedderEntry, embedder_of
from jetstream.vision.detection.detector import DetectorIdentity
from jetstream.vision.recognition import align
from jetstream.vision.recognition.embedding_space import EmbeddingSpace

log = logging.getLogger(__name__)


class GalleryOrigin(NamedTuple):
    """The networks that a gallery's embeddings come from."""

    embedder: EmbedderEntry
    embedder_sha256: str
    detector: DetectorIdentity

    @property
    def space(self) -> EmbeddingSpace:
        """Of the gallery's embeddings."""
        return self.embedder.spec.space

    def folder(self, faces_dir: Path, models_dir: Path) -> Path:
        """Where the gallery of `faces_dir` is stored."""
        return gallery_dir(faces_dir, models_dir, self.embedder.spec.name)

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


def origin_of(config: Config) -> GalleryOrigin:
    """The origin of a gallery that is trained now. Raises ModelError where a network isn't built."""
    from jetstream.networks.open import photo_detector_identity  # the stage `learn` needs no ONNX Runtime

    return made_by(embedder_of(config), photo_detector_identity(config))


def made_by(embedder: EmbedderEntry, detector: DetectorIdentity) -> GalleryOrigin:
    """The origin with these networks. Raises ModelError where the embedder isn't built."""
    return GalleryOrigin(embedder, embedder.sha256, detector)


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
