"""Restores a backup: everything is read, checked and written beside its target first; then all is renamed.

Whatever is there already is kept under another name. Nothing is done while a pipeline uses it.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from jetstream.backup import journal, read, snapshot
from jetstream.backup.journal import RestoreJournal
from jetstream.backup.manifest import AUDIT, CONFIG, FACES, SIGHTINGS, BackupFile, BackupManifest, decoded
from jetstream.backup.read import ArchiveReader
from jetstream.backup.targets import RestoreTarget, RestoreTargets
from jetstream.backup.write import Progress
from jetstream.config.schema import Config, run_dir
from jetstream.errors import BusyError, UserError
from jetstream.gallery import audit, store
from jetstream.gallery.removal import erase
from jetstream.runtime.run_dir import RunDir
from jetstream.sightings import database, lock

_FORGETTING = ("forget", "learn", "enroll")
LARGEST_CONFIG_BYTES = 1 << 20
_LOCKS = ("writer.lock", "teller.lock")


class RestoreRequest(NamedTuple):
    """What to restore, and to where."""

    backup: Path
    config: Config  # of which the folders are
    config_file: Path | None  # where the config of the backup goes; None: nowhere


class DoneRestore(NamedTuple):
    """What a restore did."""

    counts: Mapping[str, int]  # files by kind
    asides: list[Path]  # what was there before
    skipped: list[str]  # what wasn't restored, and what is to be done, a sentence each
    forgotten: list[str]  # people of the backup who were forgotten since


def config_in(backup: Path) -> bytes | None:
    """The config in a backup; None where there is none. Raises what `read.opened` raises."""
    with read.opened(backup) as archive:
        for entry, chunks in archive.files():
            content = b"".join(chunks) if entry.path == CONFIG and entry.size <= LARGEST_CONFIG_BYTES else None
            if content is not None:
                return content
            for _ in chunks:
                pass
    return None


def restore(
    request: RestoreRequest, progress: Progress, confirm: Callable[[BackupManifest, list[RestoreTarget]], None]
) -> DoneRestore:
    """Restore a backup. `confirm` gets its manifest and what would be replaced, and raises if that isn't wanted.

    Raises UserError; nothing is changed then.
    """
    with _writing(), read.opened(request.backup) as archive:
        manifest = archive.manifest
        if manifest.database is not None and manifest.database > database.VERSION:
            raise UserError(
                f"{request.backup}: its database of sightings is of version {manifest.database}, and this jetstream "
                f"knows {database.VERSION}; nothing was changed, update jetstream"
            )
        targets = RestoreTargets(manifest, request.config, request.config_file)
        targets.check()
        _check_idle(request.config)
        _check_room(manifest, targets)
        confirm(manifest, [target for target in targets.by_place.values() if target.keep and target.is_there])
        note = _journal_of(request, targets)
        with _staging(targets, note):
            _stage(archive, targets, progress)
            names = _complete(manifest, targets, request)
            with _held(request.config, targets):
                _check_idle(request.config)
                done = _put_in_place(request.backup, manifest, targets, names, note)
    counts = Counter(entry.kind for entry in manifest.files if targets.staged(entry.path) is not None)
    said = [*targets.skipped, *targets.owners()]
    return DoneRestore(counts, done.asides, said, recorded(Path(request.config.models.dir), done))


def finish(config: Config, note: Path) -> tuple[RestoreJournal, list[str]]:
    """Put in place the rest of an interrupted restore; its journal, and who was forgotten since.

    Raises UserError, PipelineError.
    """
    with journal.alone(note.parent):
        _check_idle(config)
        done = journal.finish(note)
    return done, recorded(Path(config.models.dir), done)


def recorded(models: Path, done: RestoreJournal) -> list[str]:
    """Add a restore to the audit log; who was forgotten after the backup was made and not learnt anew since."""
    since = [line for line in audit.lines(models) if line.wall >= done.made and line.what in _FORGETTING]
    audit.add(models, "restore", count=done.photos)
    if not any(line.what == "forget" for line in since):
        return []
    last = {name: [line.what for line in since if line.is_about(name)][-1:] for name in done.names}
    return [name for name, what in last.items() if what == ["forget"]]


def _journal_of(request: RestoreRequest, targets: RestoreTargets) -> Path:
    """Where the journal is written: the next command must find it by the config's place or by the folder of models."""
    folder = targets.by_place[CONFIG].target.parent if CONFIG in targets.by_place else request.config.models.dir
    return Path(os.path.abspath(folder)) / journal.JOURNAL


def _check_idle(config: Config) -> None:
    """Raises BusyError while a pipeline uses the folders."""
    folder = RunDir(run_dir(config))
    if folder.is_running():
        raise BusyError(f"{folder.path}: a jetstream runs here; nothing was changed, stop it and restore then")


@contextlib.contextmanager
def _held(config: Config, targets: RestoreTargets) -> Iterator[None]:
    """Keep every writer of the old folders away. Raises BusyError: one is there."""
    with ExitStack() as held:
        sightings = Path(config.sightings.dir)
        for name in _LOCKS if SIGHTINGS in targets.by_place else ():
            if (sightings / name).is_file():
                try:
                    held.enter_context(lock.held(sightings / name))
                except BusyError:
                    raise BusyError(
                        f"{sightings}: another jetstream records sightings there; nothing was changed, stop it and "
                        "restore then"
                    ) from None
        for target in targets.by_place.values():
            if not target.keep and target.target.is_dir():
                held.enter_context(store.locked(target.target))
        yield


def _check_room(manifest: BackupManifest, targets: RestoreTargets) -> None:
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
def _staging(targets: RestoreTargets, note: Path) -> Iterator[None]:
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


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or 'restore'}: can't be written ({error.strerror}); nothing was changed, make room, or "
            "make it writable"
        ) from None


def _stage(archive: ArchiveReader, targets: RestoreTargets, progress: Progress) -> None:
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


def _complete(manifest: BackupManifest, targets: RestoreTargets, request: RestoreRequest) -> list[str]:
    """Check and prepare what is staged; the names of the people in it. Raises OSError, UserError."""
    kept = [decoded(folder.path).split("/") for folder in manifest.folders]
    names = [parts[1] for parts in kept if parts[0] == FACES and len(parts) == 2]
    staged = targets.staged(f"{SIGHTINGS}/{database.FILE}")
    if manifest.database is not None and staged is not None:
        try:
            snapshot.check(staged)
            snapshot.begin_epoch(staged)
            names += snapshot.people(staged)
        except UserError as error:
            where = f"{request.backup}: {SIGHTINGS}/{database.FILE}"
            raise UserError(str(error).replace(str(staged), where)) from None
    if AUDIT in targets.by_place:
        _merge_audit(targets.by_place[AUDIT])
    return sorted({*names})


def _merge_audit(target: RestoreTarget) -> None:
    """The audit log is only added to: lines of today's that the backup hasn't come after the backup's."""
    try:
        now = target.target.read_bytes()
    except FileNotFoundError:
        return
    before = target.staged.read_bytes().splitlines()
    known = {*before}
    lines = [*before, *(line for line in now.splitlines() if line not in known)]
    target.staged.write_bytes(b"".join(line + b"\n" for line in lines))


def _put_in_place(
    backup: Path, manifest: BackupManifest, targets: RestoreTargets, names: list[str], note: Path
) -> RestoreJournal:
    moves = tuple(
        journal.RestoreMove(str(target.target), str(target.staged), str(target.aside), target.keep)
        for target in targets.by_place.values()
        if os.path.lexists(target.staged)
    )
    photos = sum(1 for entry in manifest.files if entry.kind == FACES)
    done = RestoreJournal(os.path.abspath(backup), manifest.made, tuple(names), photos, moves)
    journal.put_in_place(note, done)
    return done
