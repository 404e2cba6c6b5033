"""Model cards: what is known of a network that isn't opened. The card of models/NAME.onnx is models/NAME.toml.

Opens no network. `model_import` writes cards; the built-in networks are told by the same struct (`embedders`).
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import tomli_w
from msgspec import Meta

from jetstream.config.load import parse_toml
from jetstream.config.schema import ConfigTable, NotNegative, Positive
from jetstream.config.tables import check_finite, check_keys, readable
from jetstream.errors import ModelError, UserError
from jetstream.vision.recognition import align
from jetstream.vision.recognition.align import FaceTemplate
from jetstream.vision.recognition.embedding_space import EmbeddingSpace

SUFFIX: Final = ".toml"
BUILT_IN: Final = ("sface", "dlib", "mtcnn")
_TAKEN: Final = (*BUILT_IN, "pnet", "rnet", "onet", "embedder")
"""names that no added network may have: files and networks of jetstream's own"""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")

Point = tuple[float, float]
ThreeColours = tuple[float, float, float]


class SpaceCard(ConfigTable, frozen=True):
    """The measured figures of an embedding space, as Euclidean distances between single photos (`EmbeddingSpace`)."""

    size: Annotated[int, Meta(ge=2)]
    """numbers of an embedding"""
    same: Positive
    """median distance of two photos of one person"""
    false_match: Positive
    """of two people's photos, one pair in a thousand is nearer"""
    other: Positive
    """median distance of two people's photos"""
    people: Annotated[int, Meta(ge=0)] = 0
    """people that false_match and other were measured on. 0: the figures are those of a built-in network"""
    false_match_from: NotNegative = 0.0
    """lower end of the 95 % interval of false_match"""
    false_match_to: NotNegative = 0.0
    """upper end of the 95 % interval of false_match"""


class ModelCard(ConfigTable, frozen=True):
    kind: Literal["embedder", "detector"] = "embedder"
    """embedder: compares faces (recognize.model). detector: finds faces (detect.detector)"""
    template: str | tuple[Point, ...] = ""
    """embedder: where a face's five points lie in its chip: arcface112, dlib150, or five points in px"""
    side_px: Annotated[int, Meta(ge=0, le=1024)] = 0
    """embedder: side of its chip. 0: that of the template"""
    colour: Literal["", "rgb", "bgr"] = ""
    """colour order of its input"""
    mean: float | ThreeColours | None = None
    """what is subtracted from each colour 0..255: one number, or three in its colour order"""
    scale: float | ThreeColours | None = None
    """what each colour is multiplied by after that"""
    mirror: bool = False
    """embedder: live faces are averaged with their mirror image, for twice the time, unless recognize.mirror is set"""
    one_by_one: bool = False
    """embedder: on a CPU one face at a time is faster than several together; `jetstream models add` measures it"""
    distance: Literal["cosine", "euclidean"] = "cosine"
    """embedder: cosine: only the direction of an embedding counts"""
    layout: Literal["", "yunet", "scrfd"] = ""
    """detector: what its outputs mean"""
    output: str = ""
    """name of the output in the original file, where there are several"""
    licence: str = ""
    """licence of the weights, as their maker writes it"""
    source: str = ""
    """where the file comes from"""
    file: str = ""
    """name of the original file"""
    original_sha256: str = ""
    """sha256 of the original file"""
    sha256: str = ""
    """sha256 of the repaired file that jetstream runs"""
    background_sha256: str = ""
    """sha256 of the distribution of strangers, NAME.background.npz. Empty: there is none"""
    added: str = ""
    """date"""
    repairs: tuple[str, ...] = ()
    """what was changed in the file"""
    space: SpaceCard | None = None
    """embedder: the figures of its space"""


class CardFiles(NamedTuple):
    """The files of an added network."""

    onnx: Path
    card: Path
    background: Path

    @property
    def there(self) -> list[Path]:
        return [path for path in self if path.is_file()]


def files_of(name: str, models_dir: Path) -> CardFiles:
    return CardFiles(*(models_dir / f"{name}{suffix}" for suffix in (".onnx", SUFFIX, ".background.npz")))


def names(models_dir: Path) -> list[str]:
    """The networks with a card, whether or not it can be read."""
    return sorted(path.stem for path in models_dir.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem))


def check_name(name: str) -> None:
    """Raise UserError where an added network can't be called so."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r}: not a name for a network; use up to 40 letters, digits, _ and -")
    if name.lower() in _TAKEN:
        raise UserError(f"{name}: a network of jetstream's own has this name; choose another one with --name")


def read(path: Path) -> ModelCard:
    """A card's file. Raises UserError: it can't be read, isn't TOML, or has unknown keys or wrong values."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    return _card(parse_toml(content, str(path)), str(path))


def changed(card: ModelCard, changes: dict[str, Any], where: str) -> ModelCard:
    """The card with other values, checked. Raises UserError."""
    return _card({**_plain(card), **changes}, where)


def as_given(card: ModelCard) -> ModelCard:
    """A stored card as one for another addition of its file: without what the addition found."""
    return msgspec.structs.replace(
        card, sha256="", original_sha256="", background_sha256="", added="", repairs=(), space=None, file=""
    )


def _card(tree: dict[str, Any], where: str) -> ModelCard:
    check_keys(tree, ModelCard, "", where)
    check_finite(tree, "", where)
    try:
        card = msgspec.convert(tree, ModelCard, strict=True)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {readable(error, tree, ModelCard, 'card')}") from None
    if card.kind == "embedder" and card.template:
        template_of(card, where)
    return card


def stored(name: str, models_dir: Path) -> ModelCard:
    """The card of an added network. Raises UserError where there is none or it is damaged."""
    files = files_of(name, models_dir)
    if not files.card.is_file():
        raise UserError(f"{files.card}: no such card; add the network with `jetstream models add FILE --name {name}`")
    card = read(files.card)
    missing = [key for key in ("sha256", *_NEEDED[card.kind]) if not getattr(card, key)]
    if missing:
        raise UserError(f"{files.card}: needs the key {missing[0]}; add the network with `jetstream models add`")
    return card


_NEEDED: Final = {"embedder": ("template", "space"), "detector": ("layout",)}
"""keys that a stored card has besides sha256"""


def file_sha256(path: Path, remedy: str) -> str:
    """Raises ModelError, which ends with the remedy, where the file can't be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror}); {remedy}") from None


def check_file(path: Path, sha256: str, card: Path) -> None:
    """Raise ModelError unless the file has the sha256 that its card says."""
    found = file_sha256(path, "add it again with `jetstream models add`")
    if found != sha256:
        raise ModelError(
            f"{path}: its sha256 is {found[:12]}, {card} says {sha256[:12]}; add it again with `jetstream models add`"
        )


def to_toml(card: ModelCard) -> bytes:
    return tomli_w.dumps(_plain(card)).encode()


def _plain(card: ModelCard) -> dict[str, Any]:
    """The keys that say something."""
    tree = msgspec.to_builtins(card)
    assert isinstance(tree, dict)
    return {key: value for key, value in tree.items() if value not in ("", None, (), [])}


def template_of(card: ModelCard, where: str) -> FaceTemplate:
    """Raises UserError for a template that there isn't."""
    if isinstance(card.template, str):
        if card.template not in align.TEMPLATES:
            known = ", ".join(align.TEMPLATES)
            raise UserError(f"{where}: template: there is no template {card.template}; use {known} or five points")
        template = align.TEMPLATES[card.template]
        return align.scaled(template, card.side_px or template.side_px)
    if len(card.template) != 5:
        raise UserError(f"{where}: template: expected five points [x, y], got {len(card.template)}")
    if not card.side_px:
        raise UserError(f"{where}: template: five points need the key side_px, the side of their chip")
    try:
        return align.of_points(np.array(card.template, np.float64), card.side_px)
    except ValueError as error:
        raise UserError(
            f"{where}: template: {error}; expected left eye, right eye, nose, left and right mouth corner as seen"
        ) from None


def space_of(card: SpaceCard) -> EmbeddingSpace:
    return EmbeddingSpace(card.size, card.same, card.false_match, card.other)
