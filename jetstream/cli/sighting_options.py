"""What the commands about sightings share: options of time, the database to read, and lines of JSON.

Contains no command.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jetstream.config.schema import Config
from jetstream.errors import UserError

LARGEST = 2**31 - 1
"""what a count or a number may be: SQLite refuses those beyond 64 bits"""

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Only from this time on: 2026-11-29, 2026-11-29T18:30, today, yesterday, or an age such as 2h or 3d.",
        show_default=False,
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", help="Only before this time, in the same forms. A date is its beginning.", show_default=False),
]


@contextlib.contextmanager
def reading(settings: Config) -> Iterator[sqlite3.Connection]:
    """The database as it is at the first look into it, whatever is written meanwhile. Raises JetstreamError."""
    from jetstream.sightings import database

    with database.opened(Path(settings.sightings.dir)) as connection:
        connection.execute("BEGIN")
        yield connection


def moment(text: str | None, option: str) -> int | None:
    from jetstream.sightings import reader

    return None if text is None else reader.moment(text, option, datetime.now())


def period(from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    """Begin and end of the time asked for, ns. Raises UserError: no time, or the end is before the begin."""
    from_ns, to_ns = moment(from_, "--from"), moment(to, "--to")
    if from_ns is not None and to_ns is not None and to_ns <= from_ns:
        raise UserError(f"--to {to}: is not after --from {from_}; give an earlier begin or a later end")
    return from_ns, to_ns


def print_lines(found: Sequence[msgspec.Struct]) -> None:
    """Print JSON, a line each."""
    for one in found:
        print(msgspec.json.encode(one).decode())
