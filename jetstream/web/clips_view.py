"""The clips of a sighting: which there are, and their bytes. Changes nothing.

An open clip grows. Its address names what is there by now, which stays as it is until the clip has ended: a player
that asks for it a range at a time gets bytes that belong together.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

import msgspec
from msgspec import Meta

from jetstream.clips import library
from jetstream.clips.library import StoredClip
from jetstream.sighting import Sighting
from jetstream.sightings import reader
from jetstream.web.access import Caller
from jetstream.web.routes import FileAnswer, MissingError, OpenedFile, Route
from jetstream.web.sightings_view import OneSighting, Text
from jetstream.web.site import Site

TYPE: Final = "video/mp4"
_NOT_IN_NAMES: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\s]+')

PartName = Annotated[str, Meta(pattern=r"^([0-9]{1,20}-[0-9]{1,15})?$")]


class OneClip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Text
    file: Text
    part: PartName = ""
    """as the list of clips has it in the address: what an open clip has by now"""


class ClipView(msgspec.Struct, frozen=True):
    """A clip of a sighting."""

    address: str
    """of its bytes, MP4; ranges can be asked for"""
    file_name: str
    """what it is called where it is kept: camera, beginning in UTC, and who"""
    state: Literal["open", "ended"]
    """`open`: it is being written; the address gives what is there by now, and another one is told when there is
    more"""
    begin: str
    """its first picture; while it is open, it may begin up to a few seconds before"""
    end: str | None
    """its last picture; null: not known yet"""
    pre_s: float
    """how long before the first of its sightings it begins [s]"""
    short: str
    """why that is less than `clips.pre_s`; empty: it isn't"""
    missing: int
    """pieces of about a second that are missing within"""
    n_bytes: int
    sightings: tuple[str, ...]
    """ids of all sightings that it was made for"""


class SightingClips(msgspec.Struct, frozen=True):
    """The clips of one sighting."""

    is_enabled: bool
    """whether clips are made: `clips.dir` is set"""
    clips: tuple[ClipView, ...]
    """the oldest first; several: of a long sighting"""


def clips(site: Site, one: OneSighting, _: Caller) -> SightingClips:
    """The clips of a sighting, by its id or the end of it."""
    sighting, ids = _sighting(site, one.id)
    folder = site.config.clips.dir
    if not folder:
        return SightingClips(False, ())
    return SightingClips(True, tuple(_views(Path(folder), sighting, ids)))


def clip(site: Site, one: OneClip, _: Caller) -> OpenedFile:
    """A clip of a sighting as MP4, or a range of it."""
    sighting, ids = _sighting(site, one.id)
    folder = site.config.clips.dir
    found = library.named(Path(folder), sighting.camera, one.file) if folder else None
    if found is None or ids.isdisjoint(found.info.sightings):
        raise _missing()
    file, n_bytes, tag = _opened(found.video, one.part)
    return OpenedFile(file, n_bytes, TYPE, tag, file_name(sighting, found))


def file_name(sighting: Sighting, found: StoredClip) -> str:
    """What a clip is called where it is kept."""
    who = sighting.name or ("stranger" if sighting.stranger is None else f"stranger-{sighting.stranger}")
    time = found.video.stem.partition(".")[0]
    return f"{sighting.camera}-{time}Z-{_NOT_IN_NAMES.sub('_', who)}{found.video.suffix}"


def _sighting(site: Site, id_: str) -> tuple[Sighting, set[str]]:
    """A sighting, and the ids that its clips may bear: its own, and those of its parts."""
    with site.sightings() as connection:
        if connection is None:
            raise MissingError(f"{id_}: there is no sighting yet")
        sighting = reader.one(connection, id_)
        return sighting, {sighting.id, *reader.parts_of(connection, sighting.id)}


def _views(folder: Path, sighting: Sighting, ids: set[str]) -> Iterator[ClipView]:
    for found in library.of_sightings(folder, ids, sighting.camera):
        info, n_bytes = found.info, found.n_bytes
        address = f"/api/sightings/{sighting.id}/clips/{found.video.name}"
        if info.state == "open":
            try:
                status = found.video.stat(follow_symlinks=False)
            except OSError:  # erased just now
                continue
            n_bytes = status.st_size
            address += f"?part={status.st_ino}-{n_bytes}"
        yield ClipView(
            address,
            file_name(sighting, found),
            info.state,
            info.begin,
            info.end,
            info.pre_s,
            info.short,
            info.missing,
            n_bytes,
            info.sightings,
        )


def _opened(video: Path, part: str) -> tuple[BinaryIO, int, str]:
    """The file, how many of its bytes are meant, and their ETag. Raises MissingError."""
    with ExitStack() as stack:
        try:
            file = os.open(video, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise _missing() from None
        stack.callback(os.close, file)
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise _missing()
        n_bytes, tag = status.st_size, f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
        if part:
            inode, _, size = part.partition("-")
            if int(inode) != status.st_ino or int(size) > n_bytes:
                raise MissingError("this clip has ended or changed; ask for the clips of the sighting again")
            n_bytes = int(size)
            tag = f"{status.st_ino}-{n_bytes}"
        stack.pop_all()
        return os.fdopen(file, "rb", buffering=0), n_bytes, f'"{tag}"'


def _missing() -> MissingError:
    return MissingError("this clip is not there any more")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/sightings/{id}/clips", "look", clips, OneSighting, SightingClips),
    Route("GET", "/api/sightings/{id}/clips/{file}", "look", clip, OneClip, FileAnswer),
)
