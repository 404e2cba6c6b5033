"""Adds a user's ONNX file to the models: repaired, tried, measured, then written with its card, or not at all.

Opens no network connection. The card is written last, so an interrupted addition leaves no network that can be named.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from jetstream import files
from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.gallery import photos
from jetstream.gallery.photo_faces import find_faces
from jetstream.gallery.photos import Photo
from jetstream.model_import import figures, repair, trial
from jetstream.model_import.colours import with_chip_input
from jetstream.model_import.figures import MeasuredSpace
from jetstream.model_import.repair import RepairedEmbedder
from jetstream.model_import.trial import Look, Reading, TrialReport
from jetstream.networks import cards, embedders
from jetstream.networks.cards import CardFiles, ModelCard, SpaceCard
from jetstream.networks.open import for_photos, open_picture_detector
from jetstream.runners.onnxrt import ERRORS, OnnxRunner
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition.embedder import CpuEmbedder, EmbedderSpec

Progress = Callable[[str, float], None]
T = TypeVar("T")

_EXPORTERS: Final = {
    ".tflite": "convert it first: python -m tf2onnx.convert --tflite FILE --output FILE.onnx",
    ".pb": "convert it first with tf2onnx",
    ".h5": "convert it first with tf2onnx",
    ".pt": "export it first with torch.onnx.export",
    ".pth": "export it first with torch.onnx.export",
    ".param": "convert it first with ncnn2onnx",
    ".caffemodel": "convert it first to ONNX",
}
_MOST_PHOTOS: Final = 600  # of strangers and of people, each


class AddedModel(NamedTuple):
    """What adding a network found and wrote."""

    name: str
    card: ModelCard
    files: CardFiles
    ms: float  # a face on one thread, alone or in a batch of eight, whichever is faster
    beside: dict[str, float]  # ms of the built-in networks, measured at the same moment, as they are used
    trial: TrialReport
    others: list[tuple[Reading, float]]  # how well other readings separate people, best first, relative to the chosen
    people: int  # that were there to measure the space on
    same: float  # median distance of one person's photos as measured; 0: too few people had several


def add(
    path: Path, given: ModelCard, name: str, config: Config, strangers: Path | None, progress: Progress
) -> AddedModel:
    """Add the embedder in `path`. `given` is what its card says already; `strangers` a folder of other people's photos.

    Raises UserError and ModelError, with nothing written.
    """
    target = cards.files_of(name, Path(config.models.dir))
    _check_free(name, target)
    progress(f"{path.name}: repairing", 0.0)
    fixed = _repaired(path, given.output)
    with tempfile.TemporaryDirectory() as folder, open_picture_detector(for_photos(config)) as detector:
        progress(f"{path.name}: trying", 0.2)
        looks = trial.portraits(detector)
        chosen, others = _choose(fixed, given, looks, Path(folder), path)
        card = msgspec.structs.replace(given, **_read_as(chosen, given))
        content = with_chip_input(fixed.model, chosen.colours).SerializeToString(deterministic=True)
        with _opened(content, Path(folder) / "final.onnx", path) as network:
            is_cosine = card.distance == "cosine"
            tested = _named(path, lambda: trial.test(network, looks, chosen.template, is_cosine=is_cosine))
            size = fixed.size or network.infer(_one(chosen))[repair.OUTPUT].shape[1]
            usual = figures.generic(size, is_cosine=is_cosine, other=tested.separation.other)
            progress(f"{path.name}: measuring", 0.5)
            space = _measured(network, chosen, card, usual, config, detector, strangers)
            _check_people(path, space)
            ms, one_by_one = _times(network, chosen.template.side_px)
            beside = built_in_times(Path(config.models.dir))
    card = msgspec.structs.replace(_whole(card, path, fixed, content, space), one_by_one=one_by_one)
    _write(target, content, space.background, card)
    return AddedModel(name, card, target, ms, beside, tested, others, space.people, space.same)


def load(path: Path) -> onnx.ModelProto:
    """The file with its external data. Raises UserError where it is none, and ModelError where a part is missing."""
    if hint := _EXPORTERS.get(path.suffix.lower()):
        raise UserError(f"{path}: not an ONNX file; {hint}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    except (DecodeError, ValueError) as error:
        raise UserError(f"{path}: not an ONNX file, or damaged ({_first_line(error)})") from None
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{path}: its weights are in another file that is missing or damaged ({_first_line(error)}); put it beside"
        ) from None
    return model


def _check_free(name: str, target: CardFiles) -> None:
    cards.check_name(name)
    if there := target.there:
        raise UserError(
            f"{there[0]}: is there already; choose another --name, or remove it with `jetstream models remove {name}`"
        )


def _repaired(path: Path, output: str) -> RepairedEmbedder:
    model = load(path)
    if not model.graph.node:
        raise UserError(f"{path}: not an ONNX file, or one without a network")
    try:
        return _named(path, lambda: repair.repaired(model, output=output))
    except (LookupError, ValueError, TypeError, RuntimeError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{path}: can't be repaired ({_first_line(error)}); nothing was written") from None


def _choose(
    fixed: RepairedEmbedder, given: ModelCard, looks: Sequence[Look], folder: Path, path: Path
) -> tuple[Reading, list[tuple[Reading, float]]]:
    """The reading of the input that separates people best, of those that the card leaves open, and the others."""
    template = cards.template_of(given, "card") if given.template else None
    if template and fixed.side_px and template.side_px != fixed.side_px:
        raise UserError(f"{path}: takes chips of {fixed.side_px} px, and its card says {template.side_px}")
    is_cosine = given.distance == "cosine"
    open_colour = msgspec.structs.replace(given, colour="")
    with _opened(fixed.model.SerializeToString(), folder / "maker.onnx", path) as network:
        choices = trial.readings(open_colour, template, fixed.side_px)
        found = _named(path, lambda: trial.separations(network, looks, choices, is_cosine=is_cosine))
    allowed = [one for one in found if given.colour in ("", one[0].colours.order)]
    if not allowed:
        raise ModelError(f"{path}: gives no finite answers in the colour order {given.colour}; nothing was written")
    chosen, measured = allowed[0]
    best = trial.score(measured, is_cosine=is_cosine)
    rest = [(one, trial.score(figure, is_cosine=is_cosine) / best) for one, figure in found if one != chosen]
    return chosen, rest


def _read_as(chosen: Reading, given: ModelCard) -> dict[str, Any]:
    """The keys of the card that say how the network is read."""
    colours, template = chosen.colours, chosen.template
    named = given.template or ("dlib150" if template.as_dlib else "arcface112")
    return {
        "kind": "embedder",
        "template": named,
        "side_px": template.side_px,
        "colour": colours.order,
        "mean": _single(colours.mean),
        "scale": _single(colours.scale),
    }


def _single(values: tuple[float, float, float]) -> float | tuple[float, float, float]:
    return values[0] if len(set(values)) == 1 else values


@contextmanager
def _opened(content: bytes, file: Path, path: Path) -> Iterator[OnnxRunner]:
    """The network in `content`, whose errors name `path`."""
    file.write_bytes(content)
    try:
        with OnnxRunner(file) as network:
            yield network
    except (*ERRORS, ModelError) as error:
        reason = _first_line(error).replace(str(file), path.name).replace("; run `jetstream models` to rebuild it", "")
        if reason.startswith(str(path)):
            raise
        raise ModelError(f"{path}: {reason}; nothing was written") from None


def _named(path: Path, do: Callable[[], T]) -> T:
    """What `do` returns; its ModelError begins with the file."""
    try:
        return do()
    except ModelError as error:
        raise ModelError(f"{path}: {error}; nothing was written") from None


def _one(chosen: Reading) -> dict[str, NDArray[np.float32]]:
    side = chosen.template.side_px
    return {"chip": np.zeros((1, 3, side, side), np.float32)}


def _measured(
    network: OnnxRunner,
    chosen: Reading,
    card: ModelCard,
    usual: SpaceCard,
    config: Config,
    detector: Detector,
    strangers: Path | None,
) -> MeasuredSpace:
    spec = EmbedderSpec("added", chosen.template, cards.space_of(usual), is_cosine=card.distance == "cosine")
    embedder = CpuEmbedder(network, spec, batch=config.recognize.batch)

    def embedded(some: Sequence[Photo]) -> list[NDArray[np.float32]]:
        found = find_faces({str(photo.path): photo for photo in some[:_MOST_PHOTOS]}, detector, embedder)
        return [face.embedding for face in found.values() if face.embedding is not None]

    known, unlabelled = pictures_of(Path(config.recognize.faces), strangers)
    people = [np.stack(faces) for some in known if (faces := embedded(some))]
    loose = embedded(unlabelled)
    return figures.measured(people, np.stack(loose) if loose else np.empty((0, usual.size), np.float32), usual)


def _check_people(path: Path, space: MeasuredSpace) -> None:
    """Raise ModelError for a network that doesn't tell people apart. The demo's portraits don't show it."""
    measured = space.card
    if space.same > (measured.false_match + measured.other) / 2:
        raise ModelError(
            f"{path}: doesn't know people again: two photos of one are {space.same:.2f} apart (median of "
            f"{space.people} people), two people {measured.other:.2f}; it is no embedder of faces; nothing was written"
        )


def pictures_of(faces: Path, strangers: Path | None) -> tuple[list[list[Photo]], list[Photo]]:
    """Photos by person, and photos of strangers: of the faces folder, and of `strangers`, whose folders are people."""
    known: dict[tuple[int, str], list[Photo]] = {}
    unlabelled: list[Photo] = []
    for number, folder in enumerate([faces, *([strangers] if strangers else [])]):
        if not folder.is_dir():
            if folder == strangers:
                raise UserError(f"--strangers {folder}: no such folder; name a folder of other people's photos")
            continue
        listing = photos.list_photos(folder, is_gallery=folder != strangers)
        for photo in listing.photos:
            of_one = known.setdefault((number, photo.person), [])
            if len(of_one) < figures.MOST_OF_ONE:
                of_one.append(photo)
        unlabelled += listing.unknown or []
        if folder == strangers:
            unlabelled += photos.loose(folder)
    return list(known.values()), unlabelled


def _times(network: OnnxRunner, side_px: int) -> tuple[float, bool]:
    """ms a face, and whether one at a time is faster than eight together."""
    alone, together = (
        trial.time_ms(network, (1, 3, side_px, side_px)),
        trial.time_ms(network, (8, 3, side_px, side_px)) / 8,
    )
    return min(alone, together), alone < together


def built_in_times(models_dir: Path) -> dict[str, float]:
    """ms of the built-in embedders for a face, as they are used: dlib's takes its mirror image too."""
    found = {}
    for name in embedders.SPECS:
        entry = embedders.named(name, models_dir)
        side = entry.spec.template.side_px
        with OnnxRunner(entry.path) as network:
            found[name] = trial.time_ms(network, (2 if entry.is_mirrored else 1, 3, side, side))
    return found


def _whole(card: ModelCard, path: Path, fixed: RepairedEmbedder, content: bytes, space: MeasuredSpace) -> ModelCard:
    return msgspec.structs.replace(
        card,
        output=fixed.output,
        file=path.name,
        original_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        background_sha256=hashlib.sha256(space.background).hexdigest() if space.background else "",
        added=date.today().isoformat(),
        repairs=tuple(fixed.notes),
        space=space.card,
    )


def _write(target: CardFiles, content: bytes, background: bytes, card: ModelCard) -> None:
    try:
        if background:
            files.replace(target.background, background)
        files.replace(target.onnx, content)
        files.replace(target.card, cards.to_toml(card))
    except OSError as error:
        for path in target.there:
            path.unlink(missing_ok=True)
        raise UserError(f"{target.onnx}: can't be written ({error.strerror}); make its folder writable") from None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
