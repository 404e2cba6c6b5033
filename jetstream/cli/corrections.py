"""The command that corrects who a sighting shows."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jetstream.cli.shared import ConfigOption, Faces, Sets, app, log_as_command, progress_bars, say, settings_of
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import audit

if TYPE_CHECKING:
    from jetstream.sighting import Correction
    from jetstream.sightings.correction import CorrectedSighting


@app.command()
def correct(
    ids: Annotated[
        list[str],
        typer.Argument(help="Ids of sightings, or their last 4 characters or more.", show_default=False),
    ],
    name: Annotated[
        str | None, typer.Option(help="It is this person: the picture becomes their photo.", show_default=False)
    ] = None,
    not_: Annotated[
        bool,
        typer.Option("--not", help="It isn't the person whose name it got: the picture becomes a counter-example."),
    ] = False,
    ignore: Annotated[
        bool, typer.Option("--ignore", help="It is a stranger who shall get no name: the picture goes to _unknown.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the newest correction back, and its photo.")] = False,
    config: ConfigOption = None,
    faces: Faces = None,
    sets: Sets = None,
) -> None:
    """Correct who a sighting shows. The gallery learns from its picture; the machine's own name is kept beside it."""
    from jetstream.gallery.counter_examples import LookJudge
    from jetstream.sightings import correction, database

    settings = settings_of(config, sets=sets, faces=faces)
    if (name is not None) + not_ + ignore + undo != 1:
        raise UserError("correct: say one of --name NAME, --not, --ignore and --undo")
    verdict: Correction = "name" if name is not None else "not" if not_ else "ignore"
    with database.opened(Path(settings.sightings.dir)):  # none is made here
        pass
    if name is not None:
        _hint_at_slip(name, settings)
    log_as_command(settings)
    done = []
    try:
        with LookJudge(settings) as judge:
            for id_ in ids:
                if undo:
                    made = correction.undo(settings, id_)
                else:
                    made = correction.correct(settings, id_, verdict, name, judge)
                done.append(made)
                print(_sentence(made, undone=undo))
                audit.add(Path(settings.models.dir), "correct", made.sighting.name or made.sighting.machine_name or "")
    finally:
        if any(made.photo is not None for made in done):
            _train(settings)


def _hint_at_slip(name: str, settings: Config) -> None:
    """Say that a name is new, and which one it resembles: it may be a slip."""
    from jetstream.gallery import photos

    faces = Path(settings.recognize.faces)
    known = photos.list_photos(faces).people if faces.is_dir() else ()
    if photos.normal(name) not in known:
        near = difflib.get_close_matches(photos.normal(name), known, n=1)
        say(f"{name}: a new person" + (f"; if you meant {near[0]}, run `jetstream correct ID --undo`" if near else ""))


def _sentence(made: "CorrectedSighting", *, undone: bool) -> str:
    sighting = made.sighting
    who = f"not {sighting.denied}" if sighting.correction == "not" else sighting.who
    if undone:
        return f"{sighting.id}: {who} again" + (f"; {_shortened(made.photo)} is removed" if made.photo else "")
    if made.photo is None:
        return f"{sighting.id}: {who}; the gallery learns nothing from it: {made.note}"
    return f"{sighting.id}: {who}; the gallery learns from {made.photo}"


def _shortened(path: Path) -> Path:
    """The path from the working folder, where it is below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _train(settings: Config) -> None:
    """Train the gallery on the photos as they are now, as a running pipeline does by itself."""
    from jetstream.gallery.prepare import prepare_gallery, with_gallery
    from jetstream.networks.build import prepare_models

    with progress_bars() as progress:
        prepare_models(settings, progress)
        prepare_gallery(with_gallery(settings), progress)
