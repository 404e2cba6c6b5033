"""Adds a user's ONNX file to the models: repaired, tried, measured, then written with its card, or not at all.

Opens no network connection. The card is written last, so an interrupted addition leaves no network that can be named.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.gallery import photos
from jetstream.gallery.photo_faces import find_faces
from jetstream.gallery.photos import Photo
from jetstream.model_import import figures, library, repair, store, trial
from jetstream.model_import.colours import with_chip_input
from jetstream.model_import.figures import MeasuredSpace
from jetstream.model_import.repair import RepairedEmbedder
from jetstream.model_import.trial import Look, Reading, TrialReport
from jetstream.networks import cards
from jetstream.networks.cards import CardFiles, ModelCard, SpaceCard
from jetstream.networks.open import for_photos, open_picture_detector
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition.embedder import CpuEmbedder, EmbedderSpec

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
    path: Path, given: ModelCard, name: str, config: Config, strangers: Path | None, progress: store.Progress
) -> AddedModel:
    """Add the embedder in `path`. `given` is what its card says already; `strangers` a folder of other people's photos.

    Raises UserError and ModelError, with nothing written.
    """
    target = cards.files_of(name, Path(config.models.dir))
    store.check_free(name, target)
    progress(f"{path.name}: repairing", 0.0)
    fixed = _repaired(path, given.output)
    with tempfile.TemporaryDirectory() as folder, open_picture_detector(for_photos(config)) as detector:
        progress(f"{path.name}: trying", 0.2)
        looks = trial.portraits(detector)
        chosen, others = _choose(fixed, given, looks, Path(folder), path)
        card = msgspec.structs.replace(given, **_read_as(chosen, given))
        content = with_chip_input(fixed.model, chosen.colours).SerializeToString(deterministic=True)
        with store.opened(content, Path(folder) / "final.onnx", path) as network:
            is_cosine = card.distance == "cosine"
            tested = store.named(path, lambda: trial.test(network, looks, chosen.template, is_cosine=is_cosine))
            size = fixed.size or network.infer(_one(chosen))[repair.OUTPUT].shape[1]
            usual = figures.generic(size, is_cosine=is_cosine, other=tested.separation.other)
            progress(f"{path.name}: measuring", 0.5)
            space = _measured(network, chosen, card, usual, config, detector, strangers)
            _check_people(path, space)
            ms, one_by_one = _times(network, chosen.template.side_px)
            beside = library.built_in_times(Path(config.models.dir))
    card = msgspec.structs.replace(
        store.whole(card, path, content, fixed.notes),
        output=fixed.output,
        one_by_one=one_by_one,
        space=space.card,
        background_sha256=hashlib.sha256(space.background).hexdigest() if space.background else "",
    )
    store.write(target, content, space.background, card)
    return AddedModel(name, card, target, ms, beside, tested, others, space.people, space.same)


def _repaired(path: Path, output: str) -> RepairedEmbedder:
    model = store.load(path)
    if not model.graph.node:
        raise UserError(f"{path}: not an ONNX file, or one without a network")
    try:
        return store.named(path, lambda: repair.repaired(model, output=output))
    except (LookupError, ValueError, TypeError, RuntimeError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{path}: can't be repaired ({store.first_line(error)}); nothing was written") from None


def _choose(
    fixed: RepairedEmbedder, given: ModelCard, looks: Sequence[Look], folder: Path, path: Path
) -> tuple[Reading, list[tuple[Reading, float]]]:
    """The reading of the input that separates people best, of those that the card leaves open, and the others."""
    template = cards.template_of(given, "card") if given.template else None
    if template and fixed.side_px and template.side_px != fixed.side_px:
        raise UserError(f"{path}: takes chips of {fixed.side_px} px, and its card says {template.side_px}")
    is_cosine = given.distance == "cosine"
    open_colour = msgspec.structs.replace(given, colour="")
    with store.opened(fixed.model.SerializeToString(), folder / "maker.onnx", path) as network:
        choices = trial.readings(open_colour, template, fixed.side_px)
        found = store.named(path, lambda: trial.separations(network, looks, choices, is_cosine=is_cosine))
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
        "mean": store.single(colours.mean),
        "scale": store.single(colours.scale),
    }


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
