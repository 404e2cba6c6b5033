"""The database's file: its modes, its versions, and what is said of one that can't be used."""

import sqlite3
import stat
from pathlib import Path

import pytest

from jetstream.errors import BusyError, UserError
from jetstream.sightings import database
from jetstream.sightings.database import transaction
from tests.support.other_user import without_rights


def version_of(folder: Path) -> int:
    with database.opened(folder) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_new_database_is_private_and_of_the_newest_version(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "sightings"
    with database.opened(folder, write=True) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    assert version_of(folder) == database.VERSION
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(database.path_in(folder).stat().st_mode) == 0o600


def test_reader_of_no_database_is_told_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(database.DatabaseError, match="there is none; sightings are recorded while `jetstream run`"):
        database.connect(tmp_path)


def test_database_of_a_newer_version_is_refused_and_stays(tmp_path: Path) -> None:
    with database.opened(tmp_path, write=True) as connection:
        connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    before = database.path_in(tmp_path).read_bytes()

    for write in (True, False):
        with pytest.raises(database.DatabaseError, match=r"made by a newer jetstream .*update jetstream, or set"):
            database.connect(tmp_path, write=write)
    assert database.path_in(tmp_path).read_bytes() == before


def test_older_database_is_brought_up_to_date_and_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.opened(tmp_path, write=True) as connection:
        connection.execute("INSERT INTO meta VALUES ('mark', 7)")
    further = (*database.MIGRATIONS, "ALTER TABLE sightings ADD COLUMN note TEXT;")
    monkeypatch.setattr(database, "MIGRATIONS", further)
    monkeypatch.setattr(database, "VERSION", len(further))
    with pytest.raises(database.DatabaseError, match="`jetstream run` brings it to version"):
        database.connect(tmp_path)

    with database.opened(tmp_path, write=True) as connection:
        connection.execute("SELECT note FROM sightings")
        assert connection.execute("SELECT value FROM meta WHERE key = 'mark'").fetchone() == (7,)

    (copy,) = database.copies(tmp_path)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    old = sqlite3.connect(copy)
    assert old.execute("PRAGMA user_version").fetchone() == (len(further) - 1,)
    assert old.execute("SELECT value FROM meta WHERE key = 'mark'").fetchone() == (7,)


def test_step_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database.connect(tmp_path, write=True).close()
    broken = "ALTER TABLE sightings ADD COLUMN note TEXT; ALTER TABLE nowhere ADD COLUMN note TEXT;"
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, broken))
    monkeypatch.setattr(database, "VERSION", database.VERSION + 1)

    with pytest.raises(UserError):
        database.connect(tmp_path, write=True)

    monkeypatch.undo()
    with database.opened(tmp_path, write=True) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(sightings)")]
    assert "note" not in columns


@pytest.mark.parametrize("content", [b"no database" * 400, b"SQLite format 3\0" + b"\xff" * 4000])
def test_damaged_database_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    database.path_in(tmp_path).write_bytes(content)

    with pytest.raises(database.DamageError, match=r"damaged .*move it away, or restore it with `jetstream restore`"):
        database.connect(tmp_path, write=True)


def test_folder_that_cant_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match=r"sightings\.dir: .*name a folder that can be written, or set"):
        database.connect(tmp_path / "file" / "sightings", write=True)


def test_writer_that_waits_in_vain_is_told_of_the_other_one(tmp_path: Path) -> None:
    with database.opened(tmp_path, write=True) as connection, transaction(connection):
        connection.execute("INSERT INTO meta VALUES ('mark', 7)")
        with database.opened(tmp_path, write=True) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_busy_and_damaged_are_told_apart() -> None:
    assert not database.is_damage(sqlite3.OperationalError("database is locked"))
    assert database.is_damage(sqlite3.DatabaseError("database disk image is malformed"))
    assert issubclass(BusyError, UserError)


def test_log_that_grew_while_somebody_read_is_cut_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MOST_LOG_BYTES", 100_000)
    log = Path(f"{database.path_in(tmp_path)}-wal")

    def write(connection: sqlite3.Connection, times: int) -> None:
        for number in range(times):
            with transaction(connection):
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('mark', ?)", (f"{number}" * 10_000,))

    with database.opened(tmp_path, write=True) as connection:
        with database.opened(tmp_path) as reading:
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM meta").fetchone()
            write(connection, 200)
            assert log.stat().st_size > 1_000_000
        write(connection, 2)

        assert log.stat().st_size <= 100_000


def test_error_in_the_block_is_a_sentence(tmp_path: Path) -> None:
    database.connect(tmp_path, write=True).close()
    with database.opened(tmp_path, write=True) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(BusyError, match="another program writes it"),
            database.opened(tmp_path, write=True, wait_s=0.0) as connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(UserError, match="readonly database; see that this user may write it"),
        database.opened(tmp_path) as connection,
    ):
        connection.execute("DELETE FROM sightings")


def test_folder_that_cant_be_looked_into_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    tmp_path.chmod(0o755)

    with without_rights(), pytest.raises(UserError, match=r"Permission denied; see that this user may read it"):
        database.connect(tmp_path / "closed")


def test_two_processes_may_make_the_database_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = database.path_in(tmp_path)
    with sqlite3.connect(path, isolation_level=None) as first:
        first.execute("PRAGMA journal_mode = WAL")
    migrate = database._migrate

    def after_another(connection: sqlite3.Connection, *given: object) -> None:
        monkeypatch.setattr(database, "_migrate", migrate)
        database.connect(tmp_path, write=True).close()  # between this one's look at the version and its first step
        migrate(connection, *given)

    monkeypatch.setattr(database, "_migrate", after_another)
    database.connect(tmp_path, write=True).close()

    assert version_of(tmp_path) == database.VERSION
    assert database.copies(tmp_path) == []
