"""The audit log: a line for each change to people's data, in a file that only its owner can read.

Contains no face, no photo's name and no person's name. A line has a digest of the name with a new salt each time: who
knows a name can find its lines, and a forgotten person is named nowhere. Lines are only appended.
"""

import datetime
import hashlib
import logging
import os
import pwd
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from jetstream import files
from jetstream.errors import GARBLED, UserError
from jetstream.visible import visible

FILE = "audit.jsonl"
What = Literal[
    "enroll",
    "learn",
    "unlearn",
    "rename",
    "merge",
    "forget",
    "export",
    "correct",
    "backup",
    "restore",
    "login",
    "user",
    "token",
]

log = logging.getLogger(__name__)


class AuditLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One change to people's data."""

    wall: str  # ISO 8601, UTC
    who: str  # the user of this machine, and in brackets the user who ran sudo
    what: What
    salt: str  # hexadecimal
    person: str  # the first 16 hexadecimal digits of SHA-256 of the salt and the name; empty: no single person
    count: int | None = None  # number of photos, recordings or pictures concerned; backup, restore: files of faces

    def is_about(self, name: str) -> bool:
        """Whether this line is about the person `name`."""
        return bool(self.person) and self.person == _digest(self.salt, name)


def add(models_dir: Path, what: What, name: str = "", count: int | None = None, *, by: str = "") -> None:
    """Append a line to the file in `models_dir` and flush it to the disk. `by`: who did it on the page.

    A failure is logged as a warning, not raised: a full disk must not prevent forgetting a person.
    """
    salt = secrets.token_hex(8)
    wall = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    line = AuditLine(wall, f"{_who()}{f' by {by}' * bool(by)}", what, salt, _digest(salt, name) if name else "", count)
    path = models_dir / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            files.keep_private(descriptor, path)
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a power failure cut the last line
            # in one write: other processes may append at the same time
            os.write(descriptor, b"\n" * torn + msgspec.json.encode(line) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning("%s: the audit line of this %s can't be written (%s)", path, what, error.strerror)


def add_changes(models_dir: Path, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """A line for each person whom a training learnt or unlearnt; both have the number of photos by name."""
    for name in sorted(after.keys() - before.keys()):
        add(models_dir, "learn", name, after[name])
    for name in sorted(before.keys() - after.keys()):
        add(models_dir, "unlearn", name)


def lines(models_dir: Path) -> Iterator[AuditLine]:
    """All lines, the oldest first; none where there is no file. Raises UserError when the file can't be read.

    Skips what is no line, such as one cut by a power failure.
    """
    path = models_dir / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; run this as the user who runs jetstream, or mend its mode"
        ) from None
    yield from parse(content)


def parse(content: bytes) -> Iterator[AuditLine]:
    """The lines in a file's content; skips what is no line."""
    for text in content.splitlines():
        try:
            yield msgspec.json.decode(text, type=AuditLine)
        except GARBLED:
            continue


def _digest(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt}{visible(unicodedata.normalize('NFC', name)).strip()}".encode()).hexdigest()[:16]


def _who() -> str:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return f"{user} ({behind})" if behind and behind != user else user
