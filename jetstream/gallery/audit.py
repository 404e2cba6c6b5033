"""Who did what with people's data, and when: one line each, added to a file that only its owner can read.

Holds no face, no photo's name and no person's name: a line has a digest of the name, salted anew each time, so that who
knows a name finds its lines, and whoever was forgotten is named nowhere. Lines are only ever added.
"""

import datetime
import hashlib
import logging
import os
import pwd
import secrets
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from jetstream.errors import GARBLED, UserError

FILE = "audit.jsonl"
What = Literal["enroll", "learn", "unlearn", "rename", "merge", "forget", "export"]

log = logging.getLogger("jetstream")


class AuditLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    wall: str  # ISO 8601, UTC
    who: str  # the user of this machine, and who became it by sudo
    what: What
    salt: str
    person: str  # the first 16 digits of SHA-256 of the salt and the name; empty: nobody in particular
    count: int | None = None  # photos, recordings or pictures that it was about

    def is_about(self, name: str) -> bool:
        return bool(self.person) and self.person == _digest(self.salt, name)


def add(models_dir: Path, what: What, name: str = "", count: int | None = None) -> None:
    """Add a line to the file in `models_dir`, and have it on the disk. Where that fails the log has a warning: nobody
    shall stay known because a disk is full."""
    salt = secrets.token_hex(8)
    wall = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    line = AuditLine(wall, _who(), what, salt, _digest(salt, name) if name else "", count)
    path = models_dir / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a power cut
            # in one piece: others may add at the same time
            os.write(descriptor, b"\n" * torn + msgspec.json.encode(line) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning("%s: the audit line of this %s can't be written (%s)", path, what, error.strerror)


def lines(models_dir: Path) -> Iterator[AuditLine]:
    """All lines, the oldest first; one that is none, such as one that a power cut ended, is passed over. Raises
    UserError when the file is there and can't be read."""
    path = models_dir / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; ask as the user who runs jetstream, or mend its mode") from None
    yield from parse(content)


def parse(content: bytes) -> Iterator[AuditLine]:
    for text in content.splitlines():
        try:
            yield msgspec.json.decode(text, type=AuditLine)
        except GARBLED:
            continue


def _digest(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt}{unicodedata.normalize('NFC', name).strip()}".encode()).hexdigest()[:16]


def _who() -> str:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return f"{user} ({behind})" if behind and behind != user else user
