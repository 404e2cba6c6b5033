"""Writes a backup: one archive that appears whole, read by its owner only. A file is read once, and the checksum is of
what was written, so a photo that changes meanwhile doesn't spoil it.

The manifest is the first file of the archive, but its sizes and checksums are known last. So its place is kept, with
room for the largest numbers, and it is filled in at the end.
"""

import datetime
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from jetstream import __version__
from jetstream.backup import manifest as manifests
from jetstream.backup import snapshot, tar_layout
from jetstream.backup.content import BackupContent, BackupItem, content_of, database_of
from jetstream.backup.manifest import BackupFile, BackupManifest
from jetstream.backup.target_file import appearing, check_target
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import audit
from jetstream.sightings import database

Progress = Callable[[str, float], None]
CHUNK: Final = 1 << 20
_UNKNOWN: Final = BackupFile("", 1 << 62, "0" * 64, 0o777, -(1 << 62))
"""an entry with the longest numbers"""


class MadeBackup(NamedTuple):
    """A backup that was written."""

    path: Path
    size: int  # bytes
    counts: dict[str, int]  # files by kind
    sightings: int
    left_out: list[str]


def back_up(config: Config, config_file: Path | None, target: Path, progress: Progress, *, replace: bool) -> MadeBackup:
    """Write the backup `target` of all that `config` names; `replace`: in place of an existing file.

    Raises UserError: something can't be read, or the backup can't be written; then nothing is left of it.
    """
    check_target(config, target, replace=replace)
    database_file = database_of(config)
    try:
        with appearing(target) as (file, partial), snapshot.beside(partial) as copy:
            taken = None if database_file is None else snapshot.take(database_file, copy)
            content = content_of(config, config_file, () if taken is None else taken.looks)
            made = ArchiveWriter(file, content, taken, progress).write(config.recognize.faces)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        why = error.strerror or errno.errorcode.get(error.errno or 0, "failed")
        raise UserError(
            f"{target}: can't be written ({why}); nothing was left of it, name a place with room where you may write"
        ) from None
    counts: dict[str, int] = {}
    for entry in made.files:
        counts[entry.kind] = counts.get(entry.kind, 0) + 1
    audit.add(Path(config.models.dir), "backup", count=counts.get(manifests.FACES))
    return MadeBackup(target, size, counts, 0 if taken is None else taken.sightings, content.left_out)


class ArchiveWriter:
    """Writes the archive of `content`, and the copy of the database last, into the empty `file`."""

    def __init__(
        self, file: BinaryIO, content: BackupContent, taken: snapshot.DatabaseSnapshot | None, progress: Progress
    ) -> None:
        self._file = file
        self._content = content
        self._taken = taken
        self._progress = progress
        copy_size = 0 if taken is None else taken.path.stat().st_size
        self._done, self._whole = 0, 1 + copy_size + sum(item.size for item in content.items)
        self._gone: list[str] = []

    def write(self, source: str) -> BackupManifest:
        """The manifest as written. Raises OSError, UserError."""
        made = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        version = None if self._taken is None else self._taken.version
        folders = tuple(self._content.folders)
        manifest = BackupManifest(manifests.FORMAT, made, __version__, version, (), folders, manifests.encoded(source))
        items = self._content.items
        paths = [*(item.path for item in items), f"{manifests.SIGHTINGS}/{database.FILE}"]
        longest = tuple(msgspec.structs.replace(_UNKNOWN, path=path) for path in paths)
        room = len(msgspec.json.encode(msgspec.structs.replace(manifest, files=longest)))
        self._write_manifest(b" " * room)
        entries = [entry for item in items if (entry := self._add(item)) is not None]
        if self._taken is not None:
            entries.append(self._add_database(self._taken))
        manifest = msgspec.structs.replace(manifest, files=tuple(entries))
        self._file.write(tar_layout.END)
        self._file.seek(0)
        self._write_manifest(msgspec.json.encode(manifest).ljust(room))
        self._progress("back up", 1.0)
        self._content.left_out += [f"{path}: was deleted or moved while the backup was made" for path in self._gone]
        return manifest

    def _write_manifest(self, text: bytes) -> None:
        line = f"{hashlib.sha256(text).hexdigest()}  {manifests.FILE}\n".encode()
        for name, content in ((manifests.FILE, text), (manifests.CHECKSUM, line)):
            self._file.write(tar_layout.header(name, len(content)))
            self._file.write(content)
            self._file.write(tar_layout.padding(len(content)))

    def _add(self, item: BackupItem) -> BackupFile | None:
        """The entry of a file; None where it was deleted meanwhile."""
        if item.content is not None:
            return self._copy(item.path, [item.content], 0o600, 0)
        try:
            # a link or a pipe may have taken its place since it was found
            descriptor = os.open(item.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                self._gone.append(item.path)
                return None
            raise _unread(item.file, error) from None
        with open(descriptor, "rb", buffering=0) as source:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._gone.append(item.path)
                return None
            chunks = _chunks(source, status.st_size, item.file)
            return self._copy(item.path, chunks, stat.S_IMODE(status.st_mode) & 0o777, int(status.st_mtime))

    def _add_database(self, taken: snapshot.DatabaseSnapshot) -> BackupFile:
        prefix = f"{manifests.SIGHTINGS}/"
        archived = {item.path for item in self._content.items} - {*self._gone}
        taken.forget_looks([file for file in taken.looks if manifests.encoded(f"{prefix}{file}") not in archived])
        entry = self._add(BackupItem(f"{prefix}{database.FILE}", taken.path, 0))
        assert entry is not None  # nobody else knows the copy
        return entry

    def _copy(self, path: str, chunks: "Iterator[bytes] | list[bytes]", mode: int, changed_s: int) -> BackupFile:
        begin = self._file.tell()
        name = member_name(path)
        self._file.write(tar_layout.header(name, 0))
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            self._file.write(chunk)
            size += len(chunk)
            self._done += len(chunk)
            self._progress("back up", min(1.0, self._done / self._whole))
        self._file.write(tar_layout.padding(size))
        end = self._file.tell()
        self._file.seek(begin)
        self._file.write(tar_layout.header(name, size, mode=mode, changed_s=changed_s))
        self._file.seek(end)
        return BackupFile(path, size, digest.hexdigest(), mode, changed_s)


def member_name(path: str) -> str:
    """The name of a file in the archive, which `tar -xf` gives it."""
    return f"jetstream-backup/{path}"


def _chunks(source: BinaryIO, size: int, path: Path) -> Iterator[bytes]:
    """At most `size` bytes: a file that grows all the time ends too."""
    while size > 0:
        try:
            chunk = source.read(min(CHUNK, size))
        except OSError as error:
            raise _unread(path, error) from None
        if not chunk:
            return
        size -= len(chunk)
        yield chunk


def _unread(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: can't be read ({error.strerror}), so no backup was made; make it readable")
