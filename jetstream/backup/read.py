"""Reads a backup, and believes nothing in it: every header must be the one that its manifest asks for, every content
must have its checksum, and nothing may follow. So links, devices and other names can't be in it.

Writes nothing.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from jetstream.backup import manifest as manifests
from jetstream.backup import tar_layout
from jetstream.backup.manifest import BackupFile, BackupManifest
from jetstream.backup.write import CHUNK, member_name
from jetstream.errors import UserError

_CHECKSUM_BYTES: Final = len(f"{64 * '0'}  {manifests.FILE}\n")


class ArchiveReader:
    """A backup that is being read. Its errors are UserErrors that name it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self.manifest = self._read_manifest()

    def check_end(self) -> None:
        """Raises UserError where the archive is cut off: long before its last file is read, if its size is known."""
        status = os.fstat(self._file.fileno())
        sizes = (
            len(tar_layout.header(member_name(entry.path), entry.size)) + entry.size + -entry.size % tar_layout.BLOCK
            for entry in self.manifest.files
        )
        if stat.S_ISREG(status.st_mode) and status.st_size < self._file.tell() + sum(sizes) + len(tar_layout.END):
            raise self._cut()

    def files(self) -> Iterator[tuple[BackupFile, Iterator[bytes]]]:
        """Each file and its content, in the archive's order; take all of a content before the next file.

        Raises UserError for a changed byte, where the content ends, and for an archive that is cut off.
        """
        for entry in self.manifest.files:
            name = member_name(entry.path)
            self._expect(tar_layout.header(name, entry.size, mode=entry.mode, changed_s=entry.changed_s), entry.path)
            yield entry, self._content(entry)
            self._expect(tar_layout.padding(entry.size), entry.path)
        self._expect(tar_layout.END, "its end")
        if self._read(1):
            raise self._damaged("something follows its end")

    def _read_manifest(self) -> BackupManifest:
        block = self._read(tar_layout.BLOCK)
        size = tar_layout.size_in(block)
        if size is None or block != tar_layout.header(manifests.FILE, size) or size > manifests.LARGEST_BYTES:
            raise UserError(f"{self._path}: not a backup of jetstream; name a file that `jetstream backup` made")
        text = self._read(size)
        if len(text) < size:
            raise self._cut()
        self._expect(tar_layout.padding(size), "its list of files")
        line = f"{hashlib.sha256(text).hexdigest()}  {manifests.FILE}\n".encode()
        self._expect(tar_layout.header(manifests.CHECKSUM, _CHECKSUM_BYTES), "its list of files")
        self._expect(line + tar_layout.padding(_CHECKSUM_BYTES), "its list of files")
        return manifests.parse(text, str(self._path))

    def _content(self, entry: BackupFile) -> Iterator[bytes]:
        digest, left = hashlib.sha256(), entry.size
        while left:
            chunk = self._read(min(CHUNK, left))
            if not chunk:
                raise self._cut()
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
        if digest.hexdigest() != entry.sha256:
            raise self._damaged(f"{entry.path} has another checksum than when it was made")

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise _unread(self._path, error) from None

    def _expect(self, expected: bytes, what: str) -> None:
        found = self._read(len(expected))
        if found != expected:
            raise self._cut() if expected.startswith(found) else self._damaged(f"{what} isn't as it was written")

    def _cut(self) -> UserError:
        return UserError(f"{self._path}: cut off: its end is missing; copy it again, or use another backup")

    def _damaged(self, why: str) -> UserError:
        return UserError(f"{self._path}: damaged: {why}; copy it again, or use another backup")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[ArchiveReader]:
    """Open a backup. Raises UserError: it can't be read, is no backup, is of another format, or damaged."""
    try:
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115
    except OSError as error:
        raise _unread(path, error) from None
    with file:
        yield ArchiveReader(path, file)


def _unread(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: can't be read ({error.strerror}); name a file that `jetstream backup` made")
