"""Writes what is in a backup beside where it goes, whole and checked, before anything is replaced.

Knows no pipeline.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from jetstream.backup import journal
from jetstream.backup.manifest import FACES, BackupFile, BackupManifest
from jetstream.backup.read import ArchiveReader
from jetstream.backup.targets import RestoreTargets
from jetstream.backup.write import Progress
from jetstream.errors import UserError
from jetstream.gallery.removal import erase


def check_room(manifest: BackupManifest, targets: RestoreTargets) -> None:
    """Raises UserError where a disk has less room than what is written to it."""
    needed: dict[int, int] = {}
    folders: dict[int, Path] = {}
    for entry in manifest.files:
        if (staged := targets.staged(entry.path)) is not None:
            folder = staged.parent
            while not folder.is_dir():
                folder = folder.parent
            device = folder.stat().st_dev
            needed[device] = needed.get(device, 0) + entry.size
            folders[device] = folder
    for device, size in needed.items():
        disk = os.statvfs(folders[device])
        if size > (free := disk.f_bavail * disk.f_frsize):
            raise UserError(
                f"{folders[device]}: the backup needs {size / 1e6:.0f} MB there, and {free / 1e6:.0f} MB are free; "
                "nothing was changed, make room"
            )


@contextlib.contextmanager
def staged_beside(targets: RestoreTargets, note: Path) -> Iterator[None]:
    """Remove what a killed restore staged; at the end, what isn't put in place, nor will be by the journal `note`."""
    above = {folder for target in targets.by_place.values() for folder in target.target.parents}
    made = [folder for folder in {*above, note.parent, *note.parent.parents} if not folder.exists()]
    _make(note.parent)
    with journal.alone(note.parent):
        _clear(targets, [])
        try:
            yield
        except BaseException:
            if not note.exists():
                _clear(targets, made)
            raise


def _clear(targets: RestoreTargets, made: list[Path]) -> None:
    for target in targets.by_place.values():
        with contextlib.suppress(OSError):
            erase(target.staged)
    for folder in sorted(made, key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def stage(archive: ArchiveReader, targets: RestoreTargets, progress: Progress) -> None:
    """Write every file beside its target, and check all. Raises OSError, UserError."""
    for folder in archive.manifest.folders:
        if (path := targets.staged(folder.path)) is not None:
            _make(path)
    done, whole = 0, 1 + sum(entry.size for entry in archive.manifest.files)
    for entry, chunks in archive.files():
        path = targets.staged(entry.path)
        for size in _discard(chunks) if path is None else _write(path, entry, chunks):
            done += size
            progress("restore", done / whole)
    for folder in reversed(archive.manifest.folders):
        path = targets.staged(folder.path)
        if path is not None and folder.path.partition("/")[0] == FACES:  # the others' folders are for their owner only
            with contextlib.suppress(OSError):
                path.chmod(folder.mode | 0o700)


def _discard(chunks: Iterator[bytes]) -> Iterator[int]:
    for chunk in chunks:
        yield len(chunk)


def _make(folder: Path) -> None:
    """A folder and those above it, each for its owner alone: `mkdir` gives the mode to the last one only."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, entry: BackupFile, chunks: Iterator[bytes]) -> Iterator[int]:
    _make(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        for chunk in chunks:
            try:
                file.write(chunk)
            except OSError as error:
                raise OSError(error.errno, error.strerror, os.fspath(path)) from None
            yield len(chunk)
        file.flush()
        with contextlib.suppress(OSError):  # a disk without modes and times
            os.fchmod(descriptor, entry.safe_mode)
            os.utime(descriptor, (entry.changed_s, entry.changed_s))
