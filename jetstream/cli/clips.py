"""Commands about clips: the video of a sighting."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from jetstream.cli.shared import ConfigOption, Json, Sets, app, literal, say, settings_of
from jetstream.cli.sighting_options import reading
from jetstream.cli.sightings import Id
from jetstream.config.schema import Config
from jetstream.errors import UserError

if TYPE_CHECKING:
    from jetstream.clips.library import StoredClip
    from jetstream.sighting import Sighting


@app.command()
def clip(
    id_: Id,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Copy the clip to this file, such as visit.mp4.", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Copy only so many seconds of its beginning.", show_default=False)
    ] = None,
    as_json: Json = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Show where the clip of a sighting is, or copy it to a file. A long sighting may have several."""
    from jetstream.clips import export
    from jetstream.gallery import audit

    settings = settings_of(config, sets=sets)
    if seconds is not None and out is None:
        raise UserError("--seconds: is about a copy; name its file with -o")
    sighting, found = _clips_of(id_, settings)
    if out is None:
        for one in found:
            if as_json:
                print(msgspec.json.encode(one.info).decode())
            else:
                literal().print(_line(one), highlight=False, soft_wrap=True)
        return
    for one, target in zip(found, export.targets(out, len(found)), strict=True):
        export.export(one, target, seconds)
        audit.add(Path(settings.models.dir), "export", sighting.name or "", count=1)
        say(f"{target}: {sighting.who} at {one.info.camera}, from {_local(one.info.begin)}")
        if one.info.short:
            say(f"{target}: it begins later than clips.pre_s asks for: {one.info.short}")


def _clips_of(id_: str, settings: Config) -> "tuple[Sighting, list[StoredClip]]":
    """Raises UserError: no such sighting, or it has no clip."""
    from jetstream.clips import library
    from jetstream.sightings import reader

    with reading(settings) as connection:
        sighting = reader.one(connection, id_)
        ids = {sighting.id, *reader.parts_of(connection, sighting.id)}
    if not settings.clips.dir:
        raise UserError(
            "clips.dir: is empty, so no clips are made; name a folder in the config and start the run again"
        )
    try:
        found = library.of_sightings(Path(settings.clips.dir), ids)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; see that this user may read it") from None
    if not found:
        raise UserError(
            f"{sighting.id}: there is no clip of it; it may have been deleted (clips.keep_days, clips.keep_gb)"
        )
    return sighting, found


def _line(clip: "StoredClip") -> str:
    info = clip.info
    until = "is being written" if info.end is None else f"to {_local(info.end).rpartition(' ')[2]}"
    short = f"; {info.short}" if info.short else ""
    missing = f"; {info.missing} pieces of a second are missing" if info.missing else ""
    return f"{clip.video}  {_local(info.begin)} {until}, {clip.n_bytes / 1e6:.1f} MB{short}{missing}"


def _local(iso: str) -> str:
    from jetstream.sightings import tables

    return tables.local(iso)
