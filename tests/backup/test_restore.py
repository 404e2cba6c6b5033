"""A backup comes back whole, or nothing changes; and what is refused."""

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from jetstream.backup import journal
from jetstream.backup.content import BackupContent, BackupItem
from jetstream.backup.manifest import BackupManifest
from jetstream.backup.restore import RestoreRequest, config_in, restore
from jetstream.backup.targets import RestoreTarget
from jetstream.backup.write import ArchiveWriter
from jetstream.config import load
from jetstream.config.galleries import gallery_dir
from jetstream.config.schema import Config
from jetstream.errors import BusyError, UserError
from jetstream.gallery import audit, erasure, store
from jetstream.runtime import run_dir
from jetstream.sightings import database, lock, reader
from jetstream.sightings.teller import SightingTeller
from tests.support import sites
from tests.support.alerts import alert, running, waiting
from tests.support.backups import bring_back, files_of, save
from tests.support.fulldisk import files_of_at_most
from tests.support.other_user import NOBODY, give_away
from tests.support.receivers import receiver, says


def test_site_comes_back_on_another_machine(archive: Path, site: Config, tmp_path: Path) -> None:
    before = files_of(site)
    (tmp_path / "site").rename(tmp_path / "gone")
    config = sites.config_of(tmp_path / "other" / "place")

    done = bring_back(archive, config)

    assert files_of(config) == before
    assert done.asides == done.skipped == done.forgotten == []
    assert store.read(gallery_dir(Path(config.recognize.faces), Path(config.models.dir), "sface")).manifest.people
    assert (Path(config.recognize.faces) / "Nobody Yet").stat().st_mode & 0o777 == 0o750


def test_file_of_any_name_and_length_comes_back(site: Config, tmp_path: Path) -> None:
    folder = Path(site.recognize.faces) / "Zoë"
    folder.mkdir()
    for name in (
        b"J\xf6rg.jpg",
        b"100%.jpg",
        b"a\nb.jpg",
        b"x" * 240 + b".jpg",
        "ü".encode() * 120,
        b".hidden",
        b"%41",
    ):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    (folder / "empty.jpg").touch()
    (folder / "deep" / "er").mkdir(parents=True)
    before = sites.contents(folder.parent)

    bring_back(save(site, tmp_path / "b.tar").path, sites.config_of(tmp_path / "other"))

    assert sites.contents(tmp_path / "other" / "faces") == before
    assert (tmp_path / "other" / "faces" / "Zoë" / "deep" / "er").is_dir()


def test_restored_files_are_for_their_owner_alone(archive: Path, tmp_path: Path) -> None:
    bring_back(archive, sites.config_of(tmp_path / "other"))

    modes = {
        path: path.stat().st_mode & 0o077
        for path in (tmp_path / "other").rglob("*")
        if path.is_file() and not path.is_relative_to(tmp_path / "other" / "faces") and path.suffix != ".onnx"
    }
    assert {path.name for path, mode in modes.items() if mode} <= {"mynet.toml"}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "other" / "sightings").rglob("*")} == {0}


def test_what_was_there_is_kept_under_another_name(archive: Path, site: Config, tmp_path: Path) -> None:
    before = files_of(site)
    (Path(site.recognize.faces) / "Grace Hopper" / "2.jpg").write_bytes(b"newer")
    sites.record(site, "Eileen Collins")
    changed = files_of(site)

    done = bring_back(archive, site)

    assert files_of(site) == before
    asides = {path.name.partition(".before-restore-")[0]: path for path in done.asides}
    assert asides.keys() == {"faces", "sightings", "keys", "door.pw", "access.db", "mynet.onnx", "mynet.toml"}
    assert sites.contents(asides["faces"])["Grace Hopper/2.jpg"] == b"newer"
    kept = sites.contents(asides["sightings"])["sightings.db"]
    assert kept == changed["sightings/sightings.db"] != before["sightings/sightings.db"]
    assert not list((Path(site.models.dir) / "galleries").glob("*before*")), "a training makes them again"


def test_what_is_kept_is_named_by_who_forgets(archive: Path, site: Config) -> None:
    asides = {path.name.partition(".")[0]: path for path in bring_back(archive, site).asides}

    (faces,) = erasure.not_searched(erasure.SearchedFolders(Path(site.recognize.faces), Path(site.models.dir)))
    (sightings,) = erasure.kept_by_restores(Path(site.sightings.dir))

    assert faces == f"{asides['faces']}: is not searched; it is what a restore has replaced, so erase it"
    assert sightings.startswith(f"{asides['sightings']}: ")


def test_second_restore_keeps_what_the_first_one_kept(archive: Path, site: Config) -> None:
    first, second = bring_back(archive, site), bring_back(archive, site)

    assert all(path.exists() for path in (*first.asides, *second.asides))
    assert not {*first.asides} & {*second.asides}


def test_empty_folder_is_nothing_to_keep(archive: Path, tmp_path: Path) -> None:
    config = sites.config_of(tmp_path / "other")
    Path(config.recognize.faces).mkdir(parents=True)
    seen: list[RestoreTarget] = []

    done = restore(
        RestoreRequest(archive, config, None), lambda what, share: None, lambda manifest, there: seen.extend(there)
    )

    assert seen == done.asides == []
    assert {path.name for path in (tmp_path / "other").iterdir()} == {
        "faces",
        "keys",
        "models",
        "sightings",
        "door.pw",
        "web",
    }


def test_audit_log_keeps_its_lines_and_gets_one(archive: Path, site: Config) -> None:
    models = Path(site.models.dir)
    audit.add(models, "learn", "Ada", 3)

    bring_back(archive, site)

    assert [line.what for line in audit.lines(models)] == ["enroll", "backup", "learn", "restore"]


@pytest.mark.parametrize(("again", "names"), [(False, ["Grace Hopper"]), (True, [])])
def test_who_was_forgotten_since_is_told(again: bool, names: list[str], archive: Path, site: Config) -> None:
    audit.add(Path(site.models.dir), "forget", "Grace Hopper")
    if again:
        audit.add(Path(site.models.dir), "enroll", "Grace Hopper")

    assert bring_back(archive, site).forgotten == names


def test_changes_of_a_restored_database_are_numbered_anew_and_old_ones_not_told(
    archive: Path, site: Config, tmp_path: Path
) -> None:
    """Subscribers leave out a number that they have had, and the numbers since the backup were given before."""
    folder = Path(site.sightings.dir)
    with database.opened(folder) as connection:
        before = reader.epoch(connection)

    bring_back(archive, site)

    told: list[object] = []
    teller = SightingTeller(folder)
    teller.tell(told.append, 0.0)
    sites.record(site, "Ada")
    teller.tell(told.append, 10.0)
    teller.close()
    with database.opened(folder) as connection:
        assert reader.epoch(connection) != before
    assert len(told) == 1


def test_alerts_that_were_due_are_not_sent_after_a_restore(archive: Path, site: Config) -> None:
    with receiver(says(500)) as server:
        tables = {"alerts": [alert("a", "exit", webhook=server.url)]}
        alerting = msgspec.structs.replace(site, alerts=load.build(tables, where="test").alerts)
        with running(alerting) as run:
            sites.record(site, "Ada")
            run.until(lambda: server.posted)
        assert waiting(site)

        bring_back(archive, site)

        with running(alerting):
            assert waiting(site) == []


def test_part_without_a_place_here_is_skipped_and_said(archive: Path, tmp_path: Path) -> None:
    config = sites.config_of(tmp_path / "other")
    config = msgspec.structs.replace(
        config,
        publish=msgspec.structs.replace(config.publish, keys=""),
        recognize=msgspec.structs.replace(config.recognize, faces="demo"),
        cameras=(),
    )

    done = bring_back(archive, config)

    assert [line.partition(":")[0] for line in done.skipped] == ["keys", "password of camera door", "faces"]
    assert {path.name for path in (tmp_path / "other").iterdir()} == {"models", "sightings", "web"}


def test_config_is_restored_where_it_is_to_go(tmp_path: Path, site: Config) -> None:
    (tmp_path / "site.toml").write_text("[models]\n")
    save(site, tmp_path / "b.tar", config_file=tmp_path / "site.toml")

    assert config_in(tmp_path / "b.tar") == b"[models]\n"
    bring_back(tmp_path / "b.tar", sites.config_of(tmp_path / "other"), tmp_path / "etc" / "new.toml")
    assert (tmp_path / "etc" / "new.toml").read_bytes() == b"[models]\n"


def test_backup_without_a_config_has_none(archive: Path) -> None:
    assert config_in(archive) is None


def refused(backup: Path, config: Config, match: str, error: type[Exception] = UserError) -> None:
    """A restore is refused with this sentence, and nothing is changed, and nothing left behind."""
    root = Path(config.models.dir).parent
    before = {str(path): path.lstat().st_ino for path in root.rglob("*") if not path.name.endswith(("-shm", "-wal"))}

    with pytest.raises(error, match=match):
        bring_back(backup, config)

    now = {str(path): path.lstat().st_ino for path in root.rglob("*") if not path.name.endswith(("-shm", "-wal"))}
    assert now == before


@pytest.mark.parametrize("content", [b"", b"x" * 9, b"x" * 5000, bytes(1024)])
def test_what_is_no_backup_is_refused(content: bytes, tmp_path: Path, site: Config) -> None:
    (tmp_path / "b.tar").write_bytes(content)

    refused(tmp_path / "b.tar", site, r"b\.tar: not a backup of jetstream")


@pytest.mark.parametrize("name", ["none.tar", "."])
def test_what_cannot_be_opened_is_refused(name: str, tmp_path: Path, site: Config) -> None:
    refused(tmp_path / name, site, "can't be read")


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 0.99999])
def test_backup_that_was_cut_off_is_refused(share: float, archive: Path, site: Config) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])

    refused(archive, site, r"b\.tar: (cut off|not a backup)")


def test_every_changed_byte_is_refused(archive: Path, tmp_path: Path) -> None:
    """Of all headers and paddings some, and of contents some."""
    content = bytearray(archive.read_bytes())
    places = [*range(0, 6000, 37), *random.Random(1).sample(range(len(content)), 150), len(content) - 1]
    for place in places:
        content[place] ^= 1 << place % 8
        archive.write_bytes(content)
        with pytest.raises(UserError, match=r"b\.tar: (damaged|not a backup|cut off)"):
            config_in(archive)  # which reads all, since there is none
        content[place] ^= 1 << place % 8


def test_changed_photo_is_refused_before_anything_changes(archive: Path, site: Config) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)

    refused(archive, site, "has another checksum than when it was made")


def test_bytes_behind_the_end_are_refused(archive: Path, site: Config) -> None:
    archive.write_bytes(archive.read_bytes() + b"x")

    refused(archive, site, "something follows its end")


def forged(
    path: Path, files: dict[str, bytes], change: Callable[[BackupManifest], BackupManifest] = lambda it: it
) -> Path:
    """A backup of these files with right checksums, as somebody may make it."""
    items = [BackupItem(name, Path(), len(text), text) for name, text in files.items()]

    class Forger(ArchiveWriter):
        def _write_manifest(self, text: bytes) -> None:
            if text.strip():
                manifest = change(msgspec.json.decode(text, type=BackupManifest))
                text = msgspec.json.encode(manifest).ljust(len(text))
            super()._write_manifest(text)

    with path.open("w+b") as file:
        Forger(file, BackupContent(items), None, lambda what, share: None).write("faces")
    return path


def test_path_that_leaves_its_folder_is_refused(tmp_path: Path, site: Config) -> None:
    refused(forged(tmp_path / "b.tar", {"faces/../../x": b"x"}), site, "leaves its folder")


@pytest.mark.parametrize("name", ["sface.onnx", "mtcnn.toml", "x.py", "pnet.onnx", "audit.jsonl", ".x.onnx"])
def test_file_that_is_no_added_network_is_refused(name: str, tmp_path: Path, site: Config) -> None:
    refused(forged(tmp_path / "b.tar", {f"networks/{name}": b"x"}), site, "network")


def test_newer_format_is_refused(tmp_path: Path, site: Config) -> None:
    backup = forged(tmp_path / "b.tar", {}, lambda it: msgspec.structs.replace(it, format=2))

    refused(backup, site, r"b\.tar: a backup of format 2, and this jetstream reads 1")


def test_database_of_a_newer_version_is_refused(archive: Path, tmp_path: Path, site: Config) -> None:
    backup = forged(tmp_path / "n.tar", {}, lambda it: msgspec.structs.replace(it, database=database.VERSION + 1))

    refused(
        backup, site, rf"n\.tar: its database of sightings is of version {database.VERSION + 1}, .* update jetstream"
    )


def database_file(path: Path, *changes: str) -> bytes:
    """A new database of sightings, changed."""
    with database.opened(path, write=True) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for change in changes:
            connection.execute(change)
        connection.execute("PRAGMA journal_mode = DELETE")
    return database.path_in(path).read_bytes()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (("INSERT INTO looks VALUES (1, 1, 'looks/../../faces/x', 1, 1, 1, '', 1, '', NULL)",), "as a picture"),
        (("INSERT INTO looks VALUES (1, 1, '/etc/passwd', 1, 1, 1, '', 1, '', NULL)",), "as a picture"),
        (("PRAGMA user_version = 99",), "version 99"),
        (("DROP TABLE looks",), "no database of sightings, or damaged"),
    ],
)
def test_database_that_is_not_ours_is_refused(
    changes: tuple[str, ...], match: str, tmp_path: Path, site: Config
) -> None:
    content = database_file(tmp_path / "forged", *changes)
    files = {"sightings/sightings.db": content}

    refused(forged(tmp_path / "b.tar", files, lambda it: msgspec.structs.replace(it, database=1)), site, match)


def test_damaged_database_with_a_right_checksum_is_refused(tmp_path: Path, site: Config) -> None:
    content = bytearray(database_file(tmp_path / "forged"))
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 100] = os.urandom(100)
    files = {"sightings/sightings.db": bytes(content)}

    refused(forged(tmp_path / "b.tar", files, lambda it: msgspec.structs.replace(it, database=1)), site, "damaged")


def test_function_in_a_database_is_not_called(tmp_path: Path, site: Config) -> None:
    """A forged schema could call functions of SQLite when it is read."""
    connection = sqlite3.connect(":memory:")
    assert connection.execute("PRAGMA trusted_schema = OFF") is not None
    content = database_file(
        tmp_path / "forged", "DROP TABLE looks", "CREATE VIEW looks AS SELECT load_extension('x') AS file"
    )
    files = {"sightings/sightings.db": content}

    refused(forged(tmp_path / "b.tar", files, lambda it: msgspec.structs.replace(it, database=1)), site, "damaged")


def test_running_pipeline_is_a_reason_to_refuse(archive: Path, site: Config) -> None:
    with run_dir.claim(Path(site.pipeline.run_dir)):
        refused(archive, site, "a jetstream runs here; nothing was changed", BusyError)


@pytest.mark.parametrize("name", ["writer.lock", "outbox.lock", "told.lock", "mqtt.lock", "alerts.lock", "clips.lock"])
def test_pipeline_of_another_config_that_records_there_is_a_reason_to_refuse(
    name: str, archive: Path, site: Config
) -> None:
    with lock.held(Path(site.sightings.dir) / name):
        refused(archive, site, "another jetstream records sightings there; nothing was changed", BusyError)


def test_second_restore_at_once_is_refused(archive: Path, site: Config) -> None:
    with journal.alone(Path(site.models.dir)):
        refused(archive, site, "another restore goes on there", BusyError)


def test_target_that_is_a_link_is_refused(archive: Path, site: Config, tmp_path: Path) -> None:
    faces = Path(site.recognize.faces)
    faces.rename(tmp_path / "real")
    faces.symlink_to(tmp_path / "real")

    refused(archive, site, "nothing is restored through a link")


def test_folder_within_another_one_is_refused(archive: Path, site: Config) -> None:
    inner = str(Path(site.recognize.faces) / "sightings")
    config = msgspec.structs.replace(site, sightings=msgspec.structs.replace(site.sightings, dir=inner))

    refused(archive, config, "and both would be replaced")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_told_that_another_user_cannot_read_it(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    give_away(tmp_path / "other")

    done = bring_back(archive, sites.config_of(tmp_path / "other"))

    (line,) = done.skipped
    assert line.startswith(f"restored into folders of user {NOBODY}, and root's now; run `chown -R {NOBODY}: ")
    assert str(tmp_path / "other" / "faces") in line


def test_answer_no_changes_nothing(archive: Path, site: Config) -> None:
    def no(manifest: BackupManifest, there: list[RestoreTarget]) -> None:
        assert {target.target.name for target in there} >= {"faces", "sightings", "keys"}
        raise UserError("no")

    before = files_of(site)
    with pytest.raises(UserError, match="no"):
        restore(RestoreRequest(archive, site, None), lambda what, share: None, no)
    assert files_of(site) == before


@pytest.mark.parametrize("size", [0, 1000, 40_000])
def test_full_disk_changes_nothing(size: int, archive: Path, site: Config) -> None:
    with files_of_at_most(size):
        refused(archive, site, r"can't be written \(File too large\); nothing was changed")


def test_disk_without_room_is_refused_before_it_is_full(tmp_path: Path, site: Config) -> None:
    def larger(manifest: BackupManifest) -> BackupManifest:
        (file,) = manifest.files
        return msgspec.structs.replace(manifest, files=(msgspec.structs.replace(file, size=1 << 60),))

    refused(forged(tmp_path / "b.tar", {"faces/Ada/1.jpg": b"x"}, larger), site, "MB are free; nothing was changed")


def test_photos_keep_their_times(archive: Path, site: Config, portraits: dict[str, np.ndarray]) -> None:
    photo = Path(site.recognize.faces) / "Grace Hopper" / "1.jpg"
    os.utime(photo, (1_600_000_000, 1_600_000_000))
    save(site, archive, replace=True)
    photo.unlink()

    bring_back(archive, site)

    assert photo.stat().st_mtime == 1_600_000_000
