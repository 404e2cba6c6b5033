"""A copy of who may use the page, for a backup, and out of one: users and tokens with their hashes, and no session."""

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from jetstream.errors import UserError
from jetstream.web.access import FILE, Right
from jetstream.web.access_file import TABLES, WAIT_S

_USERS: Final = list[tuple[str, str, Right, float]]
_TOKENS: Final = list[tuple[str, bytes, Right, float, float | None]]


def users_and_tokens(folder: Path) -> bytes | None:
    """The copy as bytes; None: there is neither a user nor a token. Raises UserError: it can't be read."""
    if not (folder / FILE).is_file():
        return None
    with tempfile.TemporaryDirectory() as private:
        target = Path(private) / FILE
        return target.read_bytes() if copy(folder / FILE, target) else None


def copy(source: Path, target: Path) -> int:
    """Write what is in the database `source` to the new file `target`; how many users and tokens. The tables are made
    anew, so nothing else of `source` comes along. Raises UserError: it is none, or damaged."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_S)
        ) as read:
            read.execute("PRAGMA trusted_schema = OFF")  # a file from outside calls no function of its own
            read.execute("PRAGMA query_only = ON")
            found = read.execute("SELECT name, hash, may, made_s FROM users").fetchall()
            users = msgspec.convert(found, _USERS)
            found = read.execute("SELECT name, hash, may, made_s, seen_s FROM tokens").fetchall()
            tokens = msgspec.convert(found, _TOKENS)
    except (sqlite3.Error, msgspec.ValidationError) as error:
        raise UserError(
            f"{source}: no users and tokens, or damaged ({error}); move it away, or use another one"
        ) from None
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(target)) as made, made:
        made.executescript(TABLES)
        made.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", users)
        made.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?)", tokens)
    return len(users) + len(tokens)


def settle(folder: Path) -> None:
    """End what a killed process left half done, which would be done to the file that takes this one's place."""
    path = folder / FILE
    if path.is_file():
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(path, timeout=WAIT_S)) as connection,
        ):
            connection.execute("SELECT count(*) FROM users").fetchone()
    path.with_name(f"{FILE}-journal").unlink(missing_ok=True)
