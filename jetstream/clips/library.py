"""The clips in a folder: all of them, and those of a sighting. Changes nothing."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jetstream.clips import clip_info
from jetstream.clips.clip_info import ClipInfo

_STEM: Final = re.compile(r"\d{8}T\d{6}\.\d{3}Z")


class StoredClip(NamedTuple):
    """A clip on the disk."""

    video: Path
    info: ClipInfo
    n_bytes: int


def clips_in(folder: Path, camera: str | None = None) -> Iterator[StoredClip]:
    """The clips, of one camera or of all, each camera's oldest first. A folder that isn't there has none.

    Raises OSError: it can't be read.
    """
    for video in _videos(folder, camera):
        info = clip_info.read(clip_info.info_of(video))
        if info is not None and info.camera == video.parent.name:
            yield StoredClip(video, info, size_of(video))


def of_sightings(folder: Path, ids: Collection[str], camera: str | None = None) -> list[StoredClip]:
    """The clips that were made for one of these sightings, the oldest first. Raises OSError."""
    found = (clip for clip in clips_in(folder, camera) if not set(ids).isdisjoint(clip.info.sightings))
    return sorted(found, key=lambda clip: clip.info.begin)


def named(folder: Path, camera: str, name: str) -> StoredClip | None:
    """The camera's clip whose file has this name; None: there is none. Raises OSError."""
    if not name.endswith(clip_info.VIDEO) or not _STEM.fullmatch(name.removesuffix(clip_info.VIDEO)):
        return None
    for place in _cameras(folder, camera):
        info = clip_info.read(clip_info.info_of(place / name))
        if info is not None and info.camera == camera:
            return StoredClip(place / name, info, size_of(place / name))
    return None


def bytes_in(folder: Path) -> int:
    """What all clips take. Raises OSError."""
    return sum(size_of(video) for video in _videos(folder, None))


def size_of(path: Path) -> int:
    """Its bytes; 0: it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _videos(folder: Path, camera: str | None) -> Iterator[Path]:
    """The files that bear a clip's name. No link is followed."""
    for place in _cameras(folder, camera):
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            path = Path(entry.path)
            is_named = path.suffix == clip_info.VIDEO and _STEM.fullmatch(path.stem)
            if is_named and entry.is_file(follow_symlinks=False):
                yield path


def _cameras(folder: Path, camera: str | None) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    return sorted(path for path in found if camera is None or path.name == camera)
