"""What is in a backup, and what isn't; and that it appears whole or not at all."""

import fcntl
import os
import subprocess
import tarfile
import tempfile
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest

from jetstream.backup import snapshot
from jetstream.backup.content import BackupContent, BackupItem
from jetstream.backup.read import opened
from jetstream.backup.write import ArchiveWriter
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import BusyError, UserError
from jetstream.gallery import audit
from jetstream.sightings import database
from tests.support import sites
from tests.support.backups import save
from tests.support.fulldisk import files_of_at_most
from tests.support.other_user import give_away, without_rights


def names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return [member.name.removeprefix("jetstream-backup/") for member in tar.getmembers()]


def test_everything_of_a_site_is_in_it(archive: Path, site: Config) -> None:
    found = [name for name in names(archive) if not name.startswith(("galleries/sface/gallery-", "sightings/looks/"))]

    assert found == [
        *("jetstream-backup.json", "jetstream-backup.json.sha256", "keys/publisher.key", "passwords/door"),
        *(
            "web/access.db",
            "audit.jsonl",
            "networks/mynet.onnx",
            "networks/mynet.toml",
            "galleries/sface/manifest.json",
        ),
        *("faces/Eileen Collins/1.jpg", "faces/Grace Hopper/1.jpg", "sightings/sightings.db"),
    ]
    assert len(names(archive)) == len(found) + 2
    assert [line.what for line in audit.lines(Path(site.models.dir))] == ["enroll", "backup"]


def test_file_is_for_its_owner_alone(archive: Path) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600
    assert list(archive.parent.glob(".*")) == []


def test_checksum_of_the_list_is_what_sha256sum_checks(archive: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)

    done = subprocess.run(["sha256sum", "-c", "jetstream-backup.json.sha256"], cwd=tmp_path, capture_output=True)

    assert done.returncode == 0


def test_networks_that_are_built_and_engines_are_left_out(tmp_path: Path, site: Config) -> None:
    models = Path(site.models.dir)
    (models / "sface.onnx").write_bytes(b"x")
    (models / "engines").mkdir()
    (models / "engines" / "pnet.engine").write_bytes(b"x")

    save(site, tmp_path / "b.tar")

    assert {name for name in names(tmp_path / "b.tar") if "sface.onnx" in name or "engine" in name} == set()


def test_links_are_named_and_not_followed(tmp_path: Path, site: Config) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("hidden words")
    faces = Path(site.recognize.faces)
    (faces / "Ada").symlink_to(tmp_path / "elsewhere")
    (faces / "Grace Hopper" / "2.jpg").symlink_to(tmp_path / "elsewhere" / "secret")
    os.mkfifo(faces / "Grace Hopper" / "3.jpg")

    made = save(site, tmp_path / "b.tar")

    assert [line.partition(":")[0].removeprefix(f"{faces}/") for line in made.left_out] == [
        *("Ada", "Grace Hopper/2.jpg", "Grace Hopper/3.jpg"),
    ]
    assert b"hidden words" not in (tmp_path / "b.tar").read_bytes()


def test_faces_folder_that_is_a_link_itself_is_read(tmp_path: Path, site: Config) -> None:
    faces = Path(site.recognize.faces)
    faces.rename(tmp_path / "real")
    faces.symlink_to(tmp_path / "real")

    save(site, tmp_path / "b.tar")

    assert "faces/Grace Hopper/1.jpg" in names(tmp_path / "b.tar")


def test_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    made = save(sites.config_of(tmp_path / "none"), tmp_path / "b.tar")

    assert [line.partition(": ")[0] for line in made.left_out] == [
        str(tmp_path / "none" / name) for name in ("keys", "door.pw", "faces")
    ]


def test_secrets_of_alerts_are_left_out_and_said(tmp_path: Path, site: Config) -> None:
    front = {"name": "front", "when": ["enter"], "webhook": "https://x/", "secret_file": str(tmp_path / "hook")}
    alerting = msgspec.structs.replace(site, alerts=load.build({"alerts": [front]}, where="test").alerts)

    made = save(alerting, tmp_path / "b.tar")

    assert made.left_out == [f"{tmp_path}/hook: is not in the backup: keep alerts' secrets elsewhere, too"]
    assert not any("alerts" in name for name in names(tmp_path / "b.tar"))


def test_existing_file_stays_unless_it_is_to_be_replaced(archive: Path, site: Config) -> None:
    before = archive.read_bytes()

    with pytest.raises(UserError, match=r"b\.tar: is there already; .*--replace"):
        save(site, archive)
    assert archive.read_bytes() == before

    sites.record(site, "Ada")
    save(site, archive, replace=True)
    assert archive.read_bytes() != before


@pytest.mark.parametrize("where", ["faces/b.tar", "sightings/b.tar", "faces/Grace Hopper/b.tar", "keys/b.tar"])
def test_backup_into_a_folder_that_it_holds_is_refused(where: str, tmp_path: Path, site: Config) -> None:
    with pytest.raises(UserError, match="which the backup holds"):
        save(site, tmp_path / "site" / where)


@pytest.mark.parametrize(("where", "why"), [(".", "is a folder"), ("none/b.tar", "No such file")])
def test_place_that_is_no_file_is_refused(where: str, why: str, tmp_path: Path, site: Config) -> None:
    with pytest.raises(UserError, match=why):
        save(site, tmp_path / where)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_full_disk_leaves_the_old_backup_and_nothing_else(share: float, archive: Path, site: Config) -> None:
    before, there = archive.read_bytes(), sorted(archive.parent.iterdir())

    full = files_of_at_most(int(len(before) * share))
    with full, pytest.raises(UserError, match=r"b\.tar: can't be written .* nothing was left of it"):
        save(site, archive, replace=True)

    assert archive.read_bytes() == before
    assert sorted(archive.parent.iterdir()) == there


@pytest.mark.parametrize("closed", ["faces/Grace Hopper/1.jpg", "faces/Grace Hopper", "faces", "door.pw", "keys"])
def test_what_cannot_be_read_is_no_hole_in_a_backup(closed: str, portraits: dict[str, np.ndarray]) -> None:
    with tempfile.TemporaryDirectory() as name:  # which nobody may enter, unlike tmp_path
        folder = Path(name)
        site = sites.make(folder / "site", portraits)
        give_away(folder)
        (folder / "site" / closed).chmod(0)

        with without_rights(), pytest.raises(UserError, match=rf"{closed}.*: can't be read .* no backup was made"):
            save(site, folder / "b.tar")

        assert not (folder / "b.tar").exists()


def test_second_backup_to_one_file_is_refused_while_the_first_goes_on(tmp_path: Path, site: Config) -> None:
    with (tmp_path / ".b.tar.partial").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(BusyError, match="another `jetstream backup` writes it"):
            save(site, tmp_path / "b.tar")


def test_what_a_killed_backup_left_is_used_again(tmp_path: Path, site: Config) -> None:
    for name in (".b.tar.partial", ".b.tar.partial.db"):
        (tmp_path / name).write_bytes(b"x" * 10_000_000)

    made = save(site, tmp_path / "b.tar")

    assert made.size == (tmp_path / "b.tar").stat().st_size < 5_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "site"]


@pytest.mark.parametrize("now", [b"", b"x", b"x" * 999, b"y" * 5000])
def test_photo_that_changed_since_it_was_listed_is_whole_as_it_was_read(now: bytes, tmp_path: Path) -> None:
    photo = tmp_path / "1.jpg"
    photo.write_bytes(now)
    content = BackupContent([BackupItem("faces/a/1.jpg", photo, 1000), BackupItem("faces/a/2.jpg", photo, 7)])

    with (tmp_path / "b.tar").open("w+b") as file:
        ArchiveWriter(file, content, None, lambda what, share: None).write("faces")

    with opened(tmp_path / "b.tar") as archive:
        assert [b"".join(chunks) for _, chunks in archive.files()] == [now, now]


def test_photo_deleted_since_it_was_listed_is_left_out_and_said(tmp_path: Path) -> None:
    content = BackupContent([BackupItem("faces/a/1.jpg", tmp_path / "none", 1000)])

    with (tmp_path / "b.tar").open("w+b") as file:
        ArchiveWriter(file, content, None, lambda what, share: None).write("faces")

    assert content.left_out == ["faces/a/1.jpg: was deleted or moved while the backup was made"]
    with opened(tmp_path / "b.tar") as archive:
        assert list(archive.files()) == []


def test_copy_of_the_database_is_of_one_moment_while_it_is_written(tmp_path: Path, site: Config) -> None:
    """Each transaction of the writer adds a sighting and its change, so both are as many in every copy."""
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            sites.record(site, "Ada")

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    try:
        for number in range(20):
            with snapshot.beside(tmp_path / f"b{number}") as copy:
                taken = snapshot.take(database.path_in(Path(site.sightings.dir)), copy)
                with snapshot._opened(taken.path) as connection:
                    found = connection.execute(
                        "SELECT (SELECT count(*) FROM sightings), (SELECT count(*) FROM changes)"
                    )
                    counts.append(found.fetchone())
    finally:
        ended.set()
        writer.join()

    assert {sightings - changes for sightings, changes in counts} == {0}
    assert counts[-1][0] > counts[0][0]


def test_record_of_a_picture_that_was_deleted_meanwhile_is_not_in_the_copy(tmp_path: Path, site: Config) -> None:
    (look,) = Path(site.sightings.dir).glob("looks/*/*.jpg")
    look.unlink()

    save(site, tmp_path / "b.tar")

    subprocess.run(["tar", "-xf", tmp_path / "b.tar", "-C", tmp_path], check=True)
    assert snapshot.check(tmp_path / "jetstream-backup" / "sightings" / "sightings.db").looks == ()


@pytest.mark.parametrize("damage", [b"no database at all" * 300, b""])
def test_damaged_database_is_refused(damage: bytes, tmp_path: Path, site: Config) -> None:
    path = database.path_in(Path(site.sightings.dir))
    path.write_bytes(damage)

    with pytest.raises(UserError, match=r"sightings\.db: .*(damaged|no database)"):
        save(site, tmp_path / "b.tar")

    assert not (tmp_path / "b.tar").exists()


def test_database_of_a_newer_jetstream_is_refused(tmp_path: Path, site: Config) -> None:
    with database.opened(Path(site.sightings.dir), write=True) as connection:
        connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")

    with pytest.raises(
        UserError, match=rf"sightings\.db: a database of version {database.VERSION + 1}, .* update jetstream"
    ):
        save(site, tmp_path / "b.tar")
