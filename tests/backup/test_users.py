"""Users and tokens of the page in a backup: their hashes come back, sessions don't, and nothing else does."""

import contextlib
import sqlite3
import tarfile
from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.web import access_copy
from jetstream.web.access import FILE, AccessStore, fits
from tests.support import sites
from tests.support.backups import bring_back, save, users_of


def test_user_logs_in_after_a_restore_and_no_session_came_along(archive: Path, tmp_path: Path) -> None:
    config = sites.config_of(tmp_path / "other")
    done = bring_back(archive, config)

    with contextlib.closing(AccessStore(Path(config.web.dir))) as access:
        assert access.sessions() == []
        assert [(token.name, token.may) for token in access.tokens()] == [("door", "look")]
        stored = access.password_of(sites.USER)
        assert not fits(stored, "wrong password")
        assert fits(stored, sites.PASSWORD)
    assert (Path(config.web.dir) / FILE).stat().st_mode & 0o777 == 0o600
    assert Path(config.web.dir).stat().st_mode & 0o777 == 0o700
    assert done.counts["web"] == 1


def test_no_session_nor_password_is_in_the_archive(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        file = tar.extractfile("jetstream-backup/web/access.db")
        assert file is not None
        content = file.read()

    assert b"a browser" not in content
    assert sites.PASSWORD.encode() not in content
    assert b"$argon2id$" in content


def test_users_that_were_there_are_kept_aside_and_what_a_killed_process_left_is_not_done_to_the_new_ones(
    archive: Path, site: Config
) -> None:
    folder, before = Path(site.web.dir), users_of(site)
    with contextlib.closing(AccessStore(folder)) as access:
        access.add_user("eve", sites.PASSWORD, "look")
    (folder / f"{FILE}-journal").write_bytes(b"x" * 600)
    (folder / "evaluation.html").write_text("stays")

    done = bring_back(archive, site)

    assert users_of(site) == before
    assert [path.name.partition(".before")[0] for path in done.asides if path.parent == folder] == [FILE]
    assert not (folder / f"{FILE}-journal").exists()
    assert (folder / "evaluation.html").read_text() == "stays"


def test_site_without_users_has_none_in_its_backup(tmp_path: Path, site: Config) -> None:
    with contextlib.closing(AccessStore(Path(site.web.dir))) as access:
        access.remove_user(sites.USER)
        access.remove_token("door")

    assert "web" not in save(site, tmp_path / "without.tar").counts


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE users",
        "UPDATE users SET may = 'everything'",
        "UPDATE tokens SET hash = 1",
        "DROP TABLE tokens; CREATE VIEW tokens AS SELECT load_extension('x') name, 1 hash, 1 may, 1 made_s, 1 seen_s",
    ],
)
def test_file_that_is_not_ours_is_refused(change: str, tmp_path: Path, site: Config) -> None:
    with contextlib.closing(sqlite3.connect(Path(site.web.dir) / FILE)) as connection:
        connection.executescript(change)

    with pytest.raises(UserError, match="no users and tokens, or damaged"):
        access_copy.copy(Path(site.web.dir) / FILE, tmp_path / FILE)
    with pytest.raises(UserError, match="no users and tokens, or damaged"):
        save(site, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_nothing_but_users_and_tokens_comes_along(tmp_path: Path, site: Config) -> None:
    source = Path(site.web.dir) / FILE
    with contextlib.closing(sqlite3.connect(source)) as connection:
        connection.executescript(
            "CREATE TABLE others (x); CREATE TRIGGER more AFTER INSERT ON sessions BEGIN DELETE FROM users; END"
        )

    assert access_copy.copy(source, tmp_path / FILE) == 2
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")}
    assert names == {"users", "sessions", "tokens"}
