"""Commands about the networks: building those that are built in, listing all, adding a user's own and removing it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jetstream.cli.shared import CommandLine, ConfigOption, Sets, app, literal, progress_bars, say, settings_of, wide
from jetstream.config import schema as configuration
from jetstream.errors import UserError

if TYPE_CHECKING:
    from jetstream.model_import.add import AddedModel
    from jetstream.model_import.detectors import AddedDetector
    from jetstream.networks.cards import ModelCard

models_app = CommandLine(help="Build, list, add and remove networks.")
app.add_typer(models_app, name="models", invoke_without_command=True)
MODELS = Path(configuration.ModelsConfig().dir)


@models_app.callback()
def models(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--dir", help="Folder for the built networks.")] = MODELS,
) -> None:
    """Build the networks from the installed weight packages, check them, and list them with those that were added.

    `run` builds them when needed. The time is for one face on one thread, measured now.
    """
    if context.invoked_subcommand is not None:
        if folder != MODELS:
            raise UserError(
                f"--dir: goes with `jetstream models` alone; give --set models.dir={folder} after the command"
            )
        return
    from rich.table import Table

    from jetstream import weights
    from jetstream.model_import import library

    with progress_bars() as progress:
        weights.build(folder, progress)
    table = Table("name", "kind", "MB", "ms a face", "licence", "state", title=str(folder))
    for row in library.listed(folder):
        ms = "" if row.ms is None else f"{row.ms:.1f}"
        table.add_row(row.name, row.kind, f"{row.mb:.1f}", ms, row.licence or "not told", row.state or "ready")
    wide().print(table)


@models_app.command("add")
def add_model(
    file: Annotated[Path, typer.Argument(help="An ONNX file.", show_default=False)],
    name: Annotated[
        str, typer.Option(help="Name for `recognize.model`. Without it, the file's.", show_default=False)
    ] = "",
    card: Annotated[
        Path | None,
        typer.Option(
            help="A model card, TOML. Without it, FILE's name with .toml, if it is there.", show_default=False
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help="embedder or detector. Without it, embedder.", show_default=False)] = "",
    template: Annotated[
        str, typer.Option(help="arcface112 or dlib150. Without it, what suits best.", show_default=False)
    ] = "",
    colour: Annotated[str, typer.Option(help="rgb or bgr. Without it, what suits best.", show_default=False)] = "",
    mean: Annotated[float | None, typer.Option(help="Subtracted from each colour 0..255.", show_default=False)] = None,
    scale: Annotated[
        float | None, typer.Option(help="Multiplied with each colour after that.", show_default=False)
    ] = None,
    distance: Annotated[str, typer.Option(help="cosine or euclidean.", show_default=False)] = "",
    output: Annotated[str, typer.Option(help="Its output, where there are several.", show_default=False)] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.", show_default=False)] = "",
    source: Annotated[str, typer.Option(help="Where the file comes from.", show_default=False)] = "",
    strangers: Annotated[
        Path | None,
        typer.Option(help="Folder of photos of people to calibrate on: <name>/*.jpg, or *.jpg.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Add a network from an ONNX file: repair it, test it, measure it and write its card. Downloads nothing.

    The file itself stays as it is. A network that fails a test is refused with the reason, and nothing is written.
    """
    from jetstream.model_import import add, detectors, library
    from jetstream.networks import cards
    from jetstream.networks.build import prepare_models

    settings = settings_of(config, sets=sets)
    options = {"template": template, "colour": colour, "mean": mean, "scale": scale, "distance": distance}
    options |= {"kind": kind, "output": output, "licence": licence, "source": source}
    given = _given(file, card)
    given = cards.changed(given, {key: value for key, value in options.items() if value not in ("", None)}, "options")
    with progress_bars() as progress:
        prepare_models(settings, progress)
        if given.kind == "detector":
            found = detectors.add(file, given, name or file.stem, settings, progress)
            stored, lines = found.card, _detector_lines(found)
        else:
            added = add.add(file, given, name or file.stem, settings, strangers, progress)
            stored, lines = added.card, _lines(added)
    for line in lines:
        literal().print(line, highlight=False, soft_wrap=True)
    for warning in library.licence_warnings(stored):
        say(f"warning: {warning}")


@models_app.command("remove")
def remove_model(
    name: Annotated[str, typer.Argument(help="Name of an added network.", show_default=False)],
    galleries: Annotated[
        bool, typer.Option("--galleries", help="Erase its galleries too: what it learnt of people's faces.")
    ] = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Remove an added network, its card and its engines. Photos stay, and so do its galleries without --galleries."""
    from jetstream.model_import import library

    settings = settings_of(config, sets=sets)
    folder, engines = Path(settings.models.dir), configuration.engines_dir(settings)
    removed, kept = library.remove(name, folder, engines, with_galleries=galleries)
    literal().print(f"{name}: removed {', '.join(map(str, removed))}", highlight=False, soft_wrap=True)
    for gallery in kept:
        say(f"{gallery}: stays, with the embeddings of people's faces; --galleries erases it")


def _given(file: Path, card: Path | None) -> "ModelCard":
    """What is known of the file: its card, or nothing."""
    from jetstream.networks import cards

    beside = file.with_suffix(cards.SUFFIX)
    if card is None and not beside.is_file():
        return cards.ModelCard()
    return cards.as_given(cards.read(card or beside))


def _lines(added: "AddedModel") -> Iterator[str]:
    """What was found, a sentence a line."""
    card, trial = added.card, added.trial.separation
    yield f"{added.name}: added as {added.files.onnx}, sha256 {card.sha256[:12]} (original {card.original_sha256[:12]})"
    if card.repairs:
        yield f"repaired: {'; '.join(card.repairs)}"
    yield (
        f"read as: {_shown(card.template)}, {card.side_px} px, {card.colour}, (colour - {_shown(card.mean)}) * "
        f"{_shown(card.scale)}, {card.distance}"
    )
    yield from _doubts(added)
    yield (
        f"tested on the demo's two people: looks of one at most {trial.farthest_same:.2f} apart, of two at least "
        f"{trial.nearest_other:.2f}; mirror images {added.trial.mirrored:.2f}; a batch differs by "
        f"{added.trial.batch_error:.0e}"
    )
    beside = ", ".join(f"{name} {ms:.1f}" for name, ms in added.beside.items())
    yield f"time: {added.ms:.1f} ms a face on one thread (built in, as they are used: {beside})"
    yield from _calibrated(added)
    yield f"licence: {card.licence or 'not told'}; source: {card.source or 'not told'}"
    yield f'to use it: recognize.model = "{added.name}"; to compare it on your photos: `jetstream evaluate` with each'


def _detector_lines(added: "AddedDetector") -> Iterator[str]:
    card = added.card
    yield f"{added.name}: added as {added.files.onnx}, sha256 {card.sha256[:12]} (original {card.original_sha256[:12]})"
    if card.repairs:
        yield f"repaired: {'; '.join(card.repairs)}"
    yield f"read as: {card.layout}, {card.colour}, (colour - {_shown(card.mean)}) * {_shown(card.scale)}"
    yield (
        f"tested beside MTCNN on {added.looks} looks at the demo's two people: {added.found} found, landmarks "
        f"{added.landmark_error:.1%} of a face away"
    )
    yield f"time: {added.ms:.1f} ms for 640 x 352 px on one thread"
    yield f"licence: {card.licence or 'not told'}; source: {card.source or 'not told'}"
    yield f'to use it: detect.detector = "{added.name}"; galleries are then trained again'


def _doubts(added: "AddedModel") -> Iterator[str]:
    """Whether other readings of the network are as good as the chosen one, or better, and whether it is any good."""
    from jetstream.model_import.trial import SURE, USUAL_OTHER

    apart = added.trial.separation.other
    if added.card.distance == "cosine" and apart < USUAL_OTHER:
        yield (
            f"doubt: the demo's two people are {apart:.2f} apart, and networks that compare by cosine put them at 1.2 "
            "to 1.4; perhaps its mean, scale or distance is another, or it doesn't know faces"
        )
    if not added.others:
        return
    reading, share = added.others[0]
    other = f"{reading}, (colour - {_shown(reading.colours.mean)}) * {_shown(reading.colours.scale)}"
    if share > 1:
        yield f"doubt: {other} separates people {share:.2f} times as well as what the card says; the card was followed"
    elif share * SURE > 1:
        yield f"unsure: {other} separates people nearly as well ({share:.2f} times); name the right one if you know it"
    else:
        yield f"sure: the next best reading ({other}) separates people {share:.2f} times as well"


def _calibrated(added: "AddedModel") -> Iterator[str]:
    """On how many people it was measured, and what that means."""
    from jetstream.model_import.figures import PEOPLE_FOR_BACKGROUND, PEOPLE_FOR_FIGURES

    space = added.card.space
    assert space is not None
    if not space.people:
        yield (
            f"not calibrated: {added.people} people's photos were there, {PEOPLE_FOR_FIGURES} are needed, better "
            f"{PEOPLE_FOR_BACKGROUND}; until then thresholds are the usual ones, and nobody knows how often "
            "strangers get a name: add it again with --strangers FOLDER"
        )
        return
    yield (
        f"calibrated on {space.people} people: one person's photos {space.same:.2f} apart, two people's "
        f"{space.other:.2f}; one pair of people in a thousand is nearer than {space.false_match:.3f} "
        f"({space.false_match_from:.3f} to {space.false_match_to:.3f})"
    )
    if added.same > space.false_match:
        yield (
            f"doubt: it is poor: photos of one person are {added.same:.2f} apart (median), and one pair of two people "
            f"in a thousand is nearer than {space.false_match:.2f}"
        )
    if not added.same:
        yield "whether it knows a person again wasn't tested: too few people had several photos"
    if not added.card.background_sha256:
        yield (
            f"no distribution of strangers: that needs {PEOPLE_FOR_BACKGROUND} people; thresholds follow from the "
            "figures above and are less exact"
        )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        same = len(set(map(str, value))) == 1
        return _shown(value[0]) if same else f"[{', '.join(map(_shown, value))}]"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
