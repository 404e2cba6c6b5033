"""The embedding networks that a config can name, and what is known of each without opening it.

Opens no network.
"""

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from jetstream import weights
from jetstream.config.galleries import has_gallery
from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.vision.recognition import align
from jetstream.vision.recognition.embedder import EmbedderSpec
from jetstream.vision.recognition.embedding_space import DLIB_SPACE, SFACE_SPACE

DEFAULT: Final = "sface"
SPECS: Final = {
    "sface": EmbedderSpec("sface", align.ARCFACE, SFACE_SPACE, is_cosine=True),
    "dlib": EmbedderSpec("dlib", align.DLIB, DLIB_SPACE, is_cosine=False),
}
"""The built-in networks."""
_MIRRORED: Final = {"sface": False, "dlib": True}
_CAVEATS: Final = {
    "dlib": "dlib's network hardly tells people of some groups apart, so that its thresholds are tight there: of 40 "
    "East Asian people with one photo each it names one look in four, where SFace names nine in ten"
}
# More chips at once are slower there, since a layer's numbers don't fit the cache: weights/sface.py has the figures.
_CPU_BATCHES: Final = {"sface": 1}


class EmbedderEntry(NamedTuple):
    """An embedding network as a file."""

    spec: EmbedderSpec
    path: Path
    is_mirrored: bool  # whether live faces are averaged with their mirror image, unless the config says otherwise
    cpu_batch: int | None  # most chips in one inference on a CPU, where more of them are slower
    caveat: str  # for whom its names can't be relied on; "" where nothing is known

    @property
    def sha256(self) -> str:
        """Of the file. Raises ModelError where it can't be read."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"{self.path}: can't be read ({error.strerror}); run `jetstream models`") from None


def embedder_of(config: Config) -> EmbedderEntry:
    """The network of `config`. Raises UserError for an unknown name."""
    return named(config.recognize.model or _of_gallery(config), Path(config.models.dir))


def _of_gallery(config: Config) -> str:
    """The network of the gallery that exists, so that an update doesn't change it; DEFAULT without one, or with its."""
    faces, models = Path(config.recognize.faces), Path(config.models.dir)
    made = [name for name in SPECS if has_gallery(faces, models, name)]
    return DEFAULT if DEFAULT in made else next(iter(made), DEFAULT)


def named(name: str, models_dir: Path) -> EmbedderEntry:
    """The network `name`. Raises UserError where there is none."""
    spec = SPECS.get(name)
    if spec is None:
        known = ", ".join(f'"{one}"' for one in SPECS)
        raise UserError(f'recognize.model: there is no network "{name}"; set it to one of {known}')
    files = weights.paths(models_dir)
    path = files.sface if name == "sface" else files.embedder
    return EmbedderEntry(spec, path, _MIRRORED[name], _CPU_BATCHES.get(name), _CAVEATS.get(name, ""))


def is_mirrored(config: Config) -> bool:
    """Whether live faces are averaged with their mirror image."""
    chosen = config.recognize.mirror
    return embedder_of(config).is_mirrored if chosen is None else chosen
