"""Puts restored files and folders in place of those that are there: all of them or none, whatever is killed when.

All is beside its target already, whole and flushed. A journal then says what is to be renamed, and each step can be
repeated. After a kill, the journal is still there: every command refuses to start until the restore is finished. Knows
no backup.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from jetstream import files
from jetstream.errors import GARBLED, BusyError, PipelineError, UserError
from jetstream.gallery.removal import erase

JOURNAL: Final = ".jetstream-restore.json"


class RestoreMove(msgspec.Struct, frozen=True):
    """One file or folder, by absolute paths: `staged` takes the place of `target`, which becomes `aside`."""

    target: str
    staged: str
    aside: str
    keep: bool  # False: `aside` is erased at the end


class RestoreJournal(msgspec.Struct, frozen=True):
    """A restore that is being put in place."""

    backup: str
    made: str  # when the backup was, ISO 8601, UTC
    names: tuple[str, ...]  # of the people in it
    photos: int
    moves: tuple[RestoreMove, ...]

    @property
    def asides(self) -> list[Path]:
        """What was there before, and is kept."""
        return [Path(move.aside) for move in self.moves if move.keep and os.path.lexists(move.aside)]


def find(config_file: Path | None, models_dir: Path | None) -> Path | None:
    """The journal of an interrupted restore of this config; None where there is none."""
    folders = [config_file.parent] if config_file is not None else []
    for folder in (*folders, *([models_dir] if models_dir is not None else [])):
        if os.path.isfile(path := folder / JOURNAL):  # unlike Path's, false where there is no right to look
            return path
    return None


def read(path: Path) -> RestoreJournal:
    """Raises UserError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RestoreJournal)
    except (OSError, *GARBLED) as error:
        raise UserError(f"{path}: can't be read ({error}); make it readable, or remove it and restore again") from None


def staged_in(path: Path, target: Path) -> bytes | None:
    """What will be the content of the file `target`; None where it is that already, or isn't replaced.

    Raises UserError.
    """
    for move in read(path).moves:
        if move.target == os.path.abspath(target) and os.path.lexists(move.staged):
            return Path(move.staged).read_bytes()
    return None


def put_in_place(path: Path, journal: RestoreJournal) -> None:
    """Write the journal `path` and do what it says.

    Raises UserError where something can't be renamed; all is as before then.
    """
    try:
        os.sync()  # what is staged is on the disk before anything is replaced by it
        files.replace(path, msgspec.json.encode(journal), mode=0o600)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UserError(f"{path}: can't be written ({error.strerror}); nothing was changed, make room there") from None
    try:
        _move_all(journal.moves)
    except OSError as error:
        try:
            _move_back(journal.moves)
            path.unlink()
        except OSError:
            raise PipelineError(
                f"{error.filename}: can't be replaced ({error.strerror}), nor could all be put back; mend that and run "
                "`jetstream restore --continue`"
            ) from None
        raise UserError(f"{error.filename}: can't be replaced ({error.strerror}); nothing was changed") from None
    _end(path, journal)


def finish(path: Path) -> RestoreJournal:
    """Do what is left of an interrupted restore. Raises UserError, PipelineError."""
    journal = read(path)
    try:
        _move_all(journal.moves)
    except OSError as error:
        raise PipelineError(
            f"{error.filename}: can't be replaced ({error.strerror}); mend that and run `jetstream restore --continue`"
        ) from None
    _end(path, journal)
    return journal


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder of the journal: one restore at a time. Raises BusyError; OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another restore goes on there; wait for its end") from None
        except OSError:  # a disk without locks
            pass
        yield
    finally:
        os.close(descriptor)


def _move_all(moves: Iterable[RestoreMove]) -> None:
    """Each move in two renames, of which any number may be done already. Raises OSError."""
    for move in moves:
        if not os.path.lexists(move.staged):
            continue  # it is in its place
        if os.path.lexists(move.target):
            os.rename(move.target, _free(move.aside))
        os.rename(move.staged, move.target)
        _flush(Path(move.target).parent)


def _free(aside: str) -> str:
    """`aside`, or another name where somebody made the target anew between the two renames."""
    number, free = 1, aside
    while os.path.lexists(free):
        number += 1
        free = f"{aside}-{number}"
    return free


def _move_back(moves: Iterable[RestoreMove]) -> None:
    for move in moves:
        if not os.path.lexists(move.staged):
            os.rename(move.target, move.staged)
        if os.path.lexists(move.aside):
            os.rename(move.aside, move.target)
        _flush(Path(move.target).parent)


def _end(path: Path, journal: RestoreJournal) -> None:
    with contextlib.suppress(OSError):  # what is left of a gallery harms nobody, and the next training passes over it
        for move in journal.moves:
            aside = Path(move.aside)
            if os.path.lexists(aside) and not (move.keep and _holds_something(aside)):
                erase(aside)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        _flush(path.parent)


def _holds_something(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir() or any(path.iterdir())


def _flush(folder: Path) -> None:
    """Have renames in `folder` survive a power failure, where its disk can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
