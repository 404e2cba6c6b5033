"""Copies of clips for people: what is shown of a clip, whole or its first seconds, into a file of their own."""

from pathlib import Path

import av

from jetstream import files
from jetstream.clips.finishing import finish
from jetstream.clips.library import StoredClip
from jetstream.errors import UserError


def targets(file: Path, count: int) -> list[Path]:
    """Where `count` clips go: to the file, and beside it with -2, -3 in their names. Raises UserError: one is there."""
    found = [file, *(file.with_name(f"{file.stem}-{number}{file.suffix}") for number in range(2, count + 1))]
    for path in found:
        if files.is_there(str(path)):
            raise UserError(f"{path}: is there already; name another file, or remove it")
    return found


def export(clip: StoredClip, target: Path, seconds: float | None = None) -> None:
    """Write a clip to `target`, or only its first seconds. Raises UserError: it can't be written or read."""
    work = clip.info.unfinished
    start_s = work.start_s if work is not None else 0.0
    try:
        for _ in finish(clip.video, start_s, None if seconds is None else start_s + seconds, target):
            pass
    except OSError as error:
        raise UserError(f"{error.filename or target}: {error.strerror}; name another file") from None
    except av.FFmpegError as error:
        raise UserError(f"{clip.video}: can't be read ({error}); it may be damaged") from None
