"""The manifest of a backup: its first file, which lists all others with their sizes and checksums.

Paths in it are by kind, not those of the machine, which may differ where it is restored. Opens nothing.
"""

import os
import re
import urllib.parse
from pathlib import PurePosixPath
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from jetstream.errors import GARBLED, UserError

FORMAT: Final = 1
FILE: Final = "jetstream-backup.json"
CHECKSUM: Final = f"{FILE}.sha256"
"""the second file, with the first one's checksum"""
LARGEST_BYTES: Final = 1 << 30
"""of a manifest that is read; some five million files"""

FACES, GALLERIES, NETWORKS, SIGHTINGS, KEYS, PASSWORDS, WEB = (
    *("faces", "galleries", "networks", "sightings", "keys", "passwords", "web"),
)
AUDIT, CONFIG = "audit.jsonl", "config.toml"
_PLACES: Final = re.compile(
    rf"{FACES}(/.+)?|{GALLERIES}/[A-Za-z0-9_-]+/[^/]+|{NETWORKS}/[^/]+|{SIGHTINGS}(/.+)?|{KEYS}(/.+)?|"
    rf"{PASSWORDS}/[A-Za-z0-9_-]+|{WEB}/access\.db|{re.escape(AUDIT)}|{re.escape(CONFIG)}",
    re.DOTALL,
)
_PRIVATE: Final = (GALLERIES, SIGHTINGS, KEYS, PASSWORDS, WEB, AUDIT)
"""kinds whose files only their owner may read, whatever an archive says"""

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Mode = Annotated[int, Meta(ge=0, le=0o777)]


class BackupFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file in the archive."""

    path: str  # by kind, encoded by `encoded`
    size: Annotated[int, Meta(ge=0, le=1 << 62)]
    sha256: Sha256
    mode: Mode
    changed_s: int  # when its content was last changed, s since 1970

    @property
    def kind(self) -> str:
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        """The path below its kind, as the disk has it; empty for a kind that is one file."""
        return decoded(self.path.partition("/")[2])

    @property
    def safe_mode(self) -> int:
        """The mode that it gets when it is restored."""
        return (self.mode & 0o700 if self.kind in _PRIVATE else self.mode) | 0o600


class BackupFolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder, which may be empty."""

    path: str
    mode: Mode


class BackupManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an archive holds, in its order."""

    format: int
    made: str  # ISO 8601, UTC
    jetstream: str  # version that made it
    database: int | None  # version of the database of sightings; None: there was none
    files: tuple[BackupFile, ...]
    folders: tuple[BackupFolder, ...] = ()
    source: str = ""  # the faces folder, for display


class _ManifestVersion(msgspec.Struct, frozen=True):
    format: int


def encoded(path: str) -> str:
    """A path as text that JSON can hold: bytes that aren't UTF-8, and %, are percent-encoded."""
    return "".join(
        f"%{ord(letter) - 0xDC00:02X}" if 0xDC80 <= ord(letter) <= 0xDCFF else "%25" if letter == "%" else letter
        for letter in path
    )


def decoded(path: str) -> str:
    """The path that `encoded` was given."""
    return os.fsdecode(urllib.parse.unquote_to_bytes(path))


def parse(content: bytes, where: str) -> BackupManifest:
    """A manifest's content. Raises UserError, which `where` begins: a newer version's, damaged, or with a path that
    leaves its folder."""
    try:
        version = msgspec.json.decode(content, type=_ManifestVersion).format
        if version != FORMAT:
            raise UserError(
                f"{where}: a backup of format {version}, and this jetstream reads {FORMAT}; restore it with the "
                "version that made it, or a newer one"
            )
        manifest = msgspec.json.decode(content, type=BackupManifest)
    except GARBLED as error:
        raise UserError(f"{where}: damaged: its list of files can't be read ({error}); use another backup") from None
    _check(manifest, where)
    return manifest


def _check(manifest: BackupManifest, where: str) -> None:
    files = {decoded(file.path) for file in manifest.files}
    folders = {decoded(folder.path) for folder in manifest.folders}
    for path in (*files, *folders):
        if not _is_safe(path) or (path in (FACES, SIGHTINGS, KEYS) and path in files):
            raise UserError(f"{where}: {path!r} in it has no place here, or leaves its folder; it is no backup of ours")
    above = {str(folder) for path in (*files, *folders) for folder in PurePosixPath(path).parents}
    if len(files) != len(manifest.files) or files & (above | folders):
        raise UserError(f"{where}: names a file twice; it is no backup of ours")


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return bool(_PLACES.fullmatch(path)) and "\0" not in path and not {"", ".", ".."} & {*parts}
