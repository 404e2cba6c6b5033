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
from jetstream.backup.manifest import AUDIT, CONFIG, FACES, SIGHTINGS, WEB, BackupManifest, decoded
from jetstream.backup.staging import check_room, stage, staged_beside
from jetstream.backup.targets import RestoreTarget, RestoreTargets
from jetstream.backup.write import Progress
from jetstream.config.schema import Config, run_dir
from jetstream.errors import BusyError, UserError
from jetstream.gallery import audit, store
from jetstream.runtime.run_dir import RunDir
from jetstream.sightings import database, lock
from jetstream.web import access, access_copy

_FORGETTING = ("forget", "learn", "enroll")
LARGEST_CONFIG_BYTES = 1 << 20
_LOCKS = ("writer.lock", "outbox.lock", *(f"{name}.lock" for name in lock.READERS))


class RestoreRequest(NamedTuple):
    """What to restore, and to where."""

    backup: Path
    config: Config  # of which the folders are
    config_file: Path | None  # where the config of the backup goes; None: nowhere
    kept_config: Path | None = None  # the file of `config`, which stays as it is


class DoneRestore(NamedTuple):
    """What a restore did."""

    counts: Mapping[str, int]  # files by kind
    sightings: int
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
        targets = RestoreTargets(manifest, request.config, request.config_file, request.kept_config)
        targets.check()
        _check_idle(request.config)
        check_room(manifest, targets)
        archive.check_end()
        confirm(manifest, [target for target in targets.by_place.values() if target.keep and target.is_there])
        note = _journal_of(request, targets)
        with staged_beside(targets, note):
            stage(archive, targets, progress)
            names, sightings = _complete(manifest, targets, request)
            with _held(request.config, targets):
                _check_idle(request.config)
                done = _put_in_place(request.backup, manifest, targets, names, note)
    counts = Counter(entry.kind for entry in manifest.files if targets.staged(entry.path) is not None)
    said = [*targets.skipped, *targets.owners()]
    return DoneRestore(counts, sightings, done.asides, said, recorded(Path(request.config.models.dir), done))


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


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or 'restore'}: can't be written ({error.strerror}); nothing was changed, make room, or "
            "make it writable"
        ) from None


def _complete(manifest: BackupManifest, targets: RestoreTargets, request: RestoreRequest) -> tuple[list[str], int]:
    """Check and prepare what is staged; the names of the people in it, and how many sightings. Raises OSError,
    UserError."""
    kept = [decoded(folder.path).split("/") for folder in manifest.folders]
    names = [parts[1] for parts in kept if parts[0] == FACES and len(parts) == 2]
    staged, sightings = targets.staged(f"{SIGHTINGS}/{database.FILE}"), 0
    if manifest.database is not None and staged is not None:
        try:
            sightings = snapshot.check(staged).sightings
            snapshot.begin_epoch(staged)
            names += snapshot.people(staged)
        except UserError as error:
            where = f"{request.backup}: {SIGHTINGS}/{database.FILE}"
            raise UserError(str(error).replace(str(staged), where)) from None
    if (users := targets.by_place.get(f"{WEB}/{access.FILE}")) is not None and users.staged.exists():
        _check_users(request.backup, users.staged)
        access_copy.settle(users.target.parent)
    if AUDIT in targets.by_place:
        _merge_audit(targets.by_place[AUDIT])
    return sorted({*names}), sightings


def _check_users(backup: Path, staged: Path) -> None:
    """Have nothing in the file but users and tokens. Raises UserError."""
    checked = staged.with_name(f"{staged.name}.checked")
    try:
        checked.unlink(missing_ok=True)
        access_copy.copy(staged, checked)
        os.replace(checked, staged)
    except UserError as error:
        raise UserError(str(error).replace(str(staged), f"{backup}: {WEB}/{access.FILE}")) from None
    finally:
        checked.unlink(missing_ok=True)


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
