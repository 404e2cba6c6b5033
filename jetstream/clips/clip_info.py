"""What is known of a clip, in a file beside it; and the names of both.

A clip is `<camera>/<time at which it begins>.mp4` in `clips.dir`, its description the same with `.json`.
"""

from datetime import datetime, timezone
from pathlib import Path
from typing import Final, Literal

import msgspec

from jetstream import files
from jetstream.errors import GARBLED

SCHEMA: Final = 1
"""version of a clip's JSON"""
VIDEO: Final = ".mp4"
INFO: Final = ".json"


class UnfinishedClip(msgspec.Struct, frozen=True):
    """What a process needs that goes on with a clip. Times are of the fragments."""

    fragments: str  # the folder that they come from
    header: str  # digest of theirs
    boot: str  # id of the boot in which these times hold
    zero_ns: int  # where the file begins
    start_ns: int  # where the clip begins

    @property
    def start_s(self) -> float:
        """Where the clip begins, in seconds of its file's own time."""
        return (self.start_ns - self.zero_ns) * 1e-9


class ClipInfo(msgspec.Struct, frozen=True):
    """A clip: a line of `jetstream clip --json`."""

    schema: int
    """version of this format"""
    camera: str
    """`name` of the camera in the config"""
    state: Literal["open", "ended"]
    """`open`: it is being written, and may begin up to a few seconds before `begin`"""
    sightings: tuple[str, ...]
    """ids of the sightings that it was made for"""
    begin: str
    """its first picture, UTC, ISO 8601 to the millisecond"""
    end: str | None
    """its last picture; null: not known yet"""
    pre_s: float
    """how long before the first of its sightings it begins [s]"""
    short: str = ""
    """why that is less than `clips.pre_s`; empty: it isn't"""
    missing: int = 0
    """pieces of about a second that are missing within"""
    unfinished: UnfinishedClip | None = None
    """for jetstream itself, while the clip is open"""


def path_of(folder: Path, camera: str, begin_ns: int) -> Path:
    """A clip that begins at this time (wall clock): a name that is free, also as that of its description."""
    while True:
        moment = datetime.fromtimestamp(begin_ns // 10**6 / 1000, timezone.utc)
        stem = folder / camera / f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z"
        video = stem.with_name(stem.name + VIDEO)
        if not (files.is_there(str(video)) or files.is_there(str(info_of(video)))):
            return video
        begin_ns += 10**6


def info_of(video: Path) -> Path:
    """The description of a clip."""
    return video.with_suffix(INFO)


def read(path: Path) -> ClipInfo | None:
    """The description in a file; None: it is gone, or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ClipInfo)
    except (OSError, *GARBLED):
        return None


def write(path: Path, info: ClipInfo) -> None:
    """Replace a description in one step. Raises OSError."""
    files.replace(path, msgspec.json.encode(info), mode=0o600)
