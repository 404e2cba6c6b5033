"""The networks that there are, built in or added: listing and removing them, and what their licences mean.

Knows no graph.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jetstream import weights
from jetstream.errors import JetstreamError, UserError
from jetstream.gallery.removal import erase
from jetstream.model_import import trial
from jetstream.networks import cards, embedders
from jetstream.networks.cards import ModelCard
from jetstream.runners.onnxrt import OnnxRunner

_RESTRICTED: Final = re.compile(
    r"non.?commercial|research|academic|evaluation|\bnc\b|-nc\b|no commercial|not for commercial", re.IGNORECASE
)
_COPYLEFT: Final = re.compile(r"\bA?GPL", re.IGNORECASE)
_MTCNN_LICENCE: Final = "Apache-2.0"


class ListedModel(NamedTuple):
    """A row of `jetstream models`."""

    name: str
    kind: str
    mb: float
    ms: float | None  # of an embedder, for a face, as it is used, on one thread
    licence: str
    state: str  # what is wrong with it, or ""


def listed(models_dir: Path) -> Iterator[ListedModel]:
    """The built-in networks, then the added ones. Times are measured now."""
    files = weights.paths(models_dir)
    mb = sum(path.stat().st_size for path in (files.pnet, files.rnet, files.onet)) / 1e6
    yield ListedModel("mtcnn", "detector", mb, None, _MTCNN_LICENCE, "")
    for name in (*embedders.SPECS, *cards.names(models_dir)):
        yield _listed(name, models_dir)


def _listed(name: str, models_dir: Path) -> ListedModel:
    path = cards.files_of(name, models_dir).onnx
    card = ModelCard()
    try:
        if name in embedders.SPECS:
            entry = embedders.named(name, models_dir)
            card, path = entry.card, entry.path
        elif (card := cards.stored(name, models_dir)).kind == "embedder":
            entry = embedders.named(name, models_dir)
            entry.check()
        else:
            cards.check_file(path, card.sha256, cards.files_of(name, models_dir).card)
            return ListedModel(name, card.kind, path.stat().st_size / 1e6, None, card.licence, "")
        side = entry.spec.template.side_px
        with OnnxRunner(entry.path) as network:
            ms = trial.time_ms(network, (2 if entry.is_mirrored else 1, 3, side, side))
    except JetstreamError as error:
        mb = path.stat().st_size / 1e6 if path.is_file() else 0.0
        return ListedModel(name, card.kind, mb, None, card.licence, str(error))
    return ListedModel(name, card.kind, path.stat().st_size / 1e6, ms, card.licence, "")


def remove(name: str, models_dir: Path, engines: Path, *, with_galleries: bool) -> tuple[list[Path], list[Path]]:
    """Remove an added network and its engines, and its galleries if told. Returns what was removed, and galleries that
    stay. Raises UserError where there is no such network, or it can't be removed."""
    if name in cards.BUILT_IN:
        raise UserError(f"{name}: is built in and can't be removed")
    files = cards.files_of(name, models_dir)
    galleries = galleries_of(name, models_dir)
    if not files.card.is_file() and not (with_galleries and galleries):
        added = ", ".join(cards.names(models_dir)) or "none"
        raise UserError(f"{name}: there is no such added network in {models_dir}; added: {added}")
    removed = []
    # the card first: without it nothing can name the network
    for path in [files.card, files.onnx, files.background, *sorted(engines.glob(f"{name}-*.engine"))]:
        try:
            path.unlink()
            removed.append(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path}: can't be removed ({error.strerror})") from None
    if with_galleries:
        for folder in galleries:
            erase(folder)
        return [*removed, *galleries], []
    return removed, galleries


def galleries_of(name: str, models_dir: Path) -> list[Path]:
    """The folders of galleries that hold embeddings of this network."""
    pattern = re.compile(rf".*-[0-9a-f]{{8}}-{re.escape(name)}")
    return sorted(path for path in (models_dir / "galleries").glob("*") if pattern.fullmatch(path.name))


def built_in_times(models_dir: Path) -> dict[str, float]:
    """ms of the built-in embedders for a face, as they are used: dlib's takes its mirror image too."""
    found = {}
    for name in embedders.SPECS:
        entry = embedders.named(name, models_dir)
        side = entry.spec.template.side_px
        with OnnxRunner(entry.path) as network:
            found[name] = trial.time_ms(network, (2 if entry.is_mirrored else 1, 3, side, side))
    return found


def licence_warnings(card: ModelCard) -> list[str]:
    """What a user must know about the rights to a network and its origin, a sentence each."""
    found = []
    if not card.licence:
        found.append("no licence is told: unless its maker allows it, nobody may use these weights")
    elif _RESTRICTED.search(card.licence):
        found.append(f"its licence is {card.licence}: don't use it in a business, a shop, an office or a product")
    elif _COPYLEFT.search(card.licence):
        found.append(f"its licence is {card.licence}: who passes it on must do so under the same licence")
    if not card.source:
        found.append("its origin is unknown: nobody can say from whose photos it has learnt, or for whom it fails")
    return found
