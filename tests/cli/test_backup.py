"""`jetstream backup` and `restore`, as a user types them."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from jetstream.backup.journal import JOURNAL
from jetstream.gallery import audit
from tests.support import sites
from tests.support.command import Command, fails_with
from tests.support.inside import Inside
from tests.support.photos import write_photo
from tests.support.waiting import wait_until

SITE = """
[models]
dir = "models"
[publish]
keys = "keys"
[pipeline]
run_dir = "run"
"""


@pytest.fixture
def jetstream(tmp_path: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """The command in a folder with a site, and site.toml for it."""
    sites.make(tmp_path, portraits)
    (tmp_path / "site.toml").write_text(SITE)
    return Inside(tmp_path, tmp_path / "models")


def done(result: "subprocess.CompletedProcess[str]") -> "subprocess.CompletedProcess[str]":
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def elsewhere(jetstream: Inside, name: str = "new") -> Inside:
    folder = jetstream.folder / name
    folder.mkdir()
    return Inside(folder, folder / "models")


def test_new_machine_gets_all_with_its_config(jetstream: Inside) -> None:
    said = done(jetstream("backup", "b.tar", "--config", "site.toml"))
    assert "b.tar: 2 files of faces, 2 files of galleries, 2 files of added networks, 1 file of keys," in said.stdout
    assert "audit log, config, 1 sighting; " in said.stdout
    assert "keep it where nobody else can read it" in said.stderr

    new = elsewhere(jetstream)
    restored = done(new("restore", "../b.tar", "--config", "etc/site.toml"))

    assert "restored: 2 files of faces" in restored.stdout
    assert "audit log, config, 1 sighting" in restored.stdout
    assert (new.folder / "etc" / "site.toml").read_text() == SITE
    for name in ("faces", "keys"):
        assert sites.contents(new.folder / name) == sites.contents(jetstream.folder / name)
    assert [line.what for line in audit.lines(new.models)] == ["enroll", "restore"]
    assert "root backup" not in done(new("audit", "--config", "etc/site.toml")).stdout


def test_nothing_is_replaced_without_an_answer(jetstream: Inside) -> None:
    done(jetstream("backup", "b.tar", "--config", "site.toml"))
    before = sites.contents(jetstream.folder)

    result = jetstream("restore", "b.tar", "--config", "site.toml")

    fails_with(result, 2, "nothing was changed: nobody answered; add --yes")
    assert f"{jetstream.folder}/faces: will be replaced; what is there will be" in result.stdout
    assert sites.contents(jetstream.folder) == before

    said = done(jetstream("restore", "b.tar", "--config", "site.toml", "--yes"))
    assert "what was there before; erase it when you don't need it any more" in said.stdout
    assert "config: is not restored, as site.toml is there; add --config-too to replace that" in said.stderr
    without = done(jetstream("restore", "b.tar", "--yes"))
    assert "config: is not restored; name where with --config" in without.stderr


@pytest.mark.parametrize("missing", [1, 5000])
def test_backup_that_was_cut_off_is_told_before_any_folder_is_named(missing: int, jetstream: Inside) -> None:
    done(jetstream("backup", "b.tar", "--config", "site.toml"))
    archive = jetstream.folder / "b.tar"
    archive.write_bytes(archive.read_bytes()[:-missing])

    result = jetstream("restore", "b.tar", "--config", "site.toml", "--yes")

    fails_with(result, 2, "b.tar: cut off: its end is missing")
    assert result.stdout == ""


def test_config_is_replaced_when_told(jetstream: Inside) -> None:
    done(jetstream("backup", "b.tar", "--config", "site.toml"))
    (jetstream.folder / "site.toml").write_text('[recognize]\nfaces = "others"\n')

    done(jetstream("restore", "b.tar", "--config", "site.toml", "--config-too", "--yes"))

    assert (jetstream.folder / "site.toml").read_text() == SITE
    (aside,) = jetstream.folder.glob("site.toml.before-restore-*")
    assert "others" in aside.read_text()
    assert not (jetstream.folder / "others").exists(), "folders are those of the config that is in use afterwards"


def test_faces_go_where_they_are_told(jetstream: Inside) -> None:
    done(jetstream("backup", "b.tar", "--config", "site.toml"))

    done(elsewhere(jetstream)("restore", "../b.tar", "--faces", "crew", "--set", "sightings.dir=seen"))

    new = jetstream.folder / "new"
    assert sites.contents(new / "crew") == sites.contents(jetstream.folder / "faces")
    assert {path.name for path in new.iterdir()} == {"crew", "seen", "models", "web"}


def test_who_was_forgotten_is_named(jetstream: Inside) -> None:
    done(jetstream("backup", "b.tar"))
    audit.add(jetstream.models, "forget", "Grace Hopper")

    result = done(jetstream("restore", "b.tar", "--yes"))

    assert "Grace Hopper: was forgotten after this backup was made, and is back" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("restore",), "name a file that `jetstream backup` made"),
        (("restore", "none.tar"), "none.tar: can't be read (No such file or directory)"),
        (("restore", "site.toml"), "site.toml: not a backup of jetstream"),
        (("restore", "b.tar", "--config-too"), "which config?"),
        (("restore", "b.tar", "--config", "none.toml"), "none.toml: there is none, and b.tar holds none"),
        (("restore", "--continue"), "no restore of this config was interrupted"),
        (("backup", "."), "is a folder; name a file in it"),
        (("backup", "b.tar"), "b.tar: is there already; name another file, or add --replace"),
        (("backup", "none/b.tar"), "none/b.tar: can't be written (No such file or directory)"),
        (("backup", "faces/b.tar"), "lies in faces, which the backup holds"),
    ],
)
def test_mistake_is_one_sentence(words: tuple[str, ...], said: str, jetstream: Inside) -> None:
    done(jetstream("backup", "b.tar"))

    fails_with(jetstream(*words), 2, said)


def test_more_links_than_fit_on_a_screen_are_counted(jetstream: Inside) -> None:
    for number in range(25):
        (jetstream.folder / "faces" / f"link{number}").symlink_to("/")

    result = done(jetstream("backup", "b.tar"))

    assert result.stderr.count("it is a link, and links are not followed") == 10
    assert "and 15 more of these" in result.stderr


KILLED = """
import os, signal, sys
from jetstream.cli import main
rename, done = os.rename, []

def dying(*words):
    rename(*words)
    done.append(words)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

os.rename = dying
sys.argv = ["jetstream", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("config_too", [False, True])
def test_every_command_refuses_until_an_interrupted_restore_is_finished(config_too: bool, jetstream: Inside) -> None:
    done(jetstream("backup", "b.tar", "--config", "site.toml"))
    before = sites.contents(jetstream.folder / "faces")
    (jetstream.folder / "faces" / "Grace Hopper" / "2.jpg").write_bytes(b"newer")
    words = ("restore", "b.tar", "--config", "site.toml", "--yes", *(("--config-too",) if config_too else ()))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *words], cwd=jetstream.folder, env=jetstream.environment, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    note = JOURNAL if config_too else f"models/{JOURNAL}"
    for command in (("people",), ("train",), ("check", "site.toml"), ("run", "site.toml"), ("backup", "c.tar"), words):
        config = () if command[1:2] == ("site.toml",) or command == words else ("--config", "site.toml")
        fails_with(jetstream(*command, *config), 2, f"{note}: a restore was interrupted; run `jetstream restore --cont")

    said = done(jetstream("restore", "--continue", "--config", "site.toml"))

    assert "b.tar: restored" in said.stdout
    assert "/faces.before-restore-" in said.stdout
    assert sites.contents(jetstream.folder / "faces") == before
    assert "restore" in done(jetstream("audit", "--config", "site.toml")).stdout
    fails_with(jetstream("restore", "--continue", "--config", "site.toml"), 2, "no restore of this config")


@pytest.mark.pipeline
def test_pipeline_that_runs_is_backed_up_and_restored_and_learns_nothing_anew(
    tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]
) -> None:
    command = Command(tmp_path, own_models, looks=3)
    for name, image in portraits.items():
        write_photo(tmp_path / "faces" / name / "1.png", image)
    config = '[[cameras]]\nname = "demo"\nsource = "demo"\nloop = true\nmax_width = 640\nmax_height = 360\n'
    (tmp_path / "site.toml").write_text(config + f'[pipeline]\nrun_dir = "{command.run_dir}"\n')
    database = tmp_path / "sightings" / "sightings.db"
    with command.running("site.toml", "--headless"):
        wait_until(lambda: database.exists() and seen(database) > 0 and list(tmp_path.glob("sightings/looks/*/*.jpg")))
        done(command("backup", "b.tar", "--config", "site.toml"))
        fails_with(command("restore", "b.tar", "--config", "site.toml", "--yes"), 2, "a jetstream runs here")

    new = Command(tmp_path / "new", own_models)
    new.folder.mkdir()
    sets = ("--set", f"pipeline.run_dir={new.run_dir}")
    done(new("restore", "../b.tar", "--config", "site.toml", *sets))
    learnt = done(new("train", "--config", "site.toml", "--json"))

    assert seen(new.folder / "sightings" / "sightings.db") > 0
    assert '"embedded":0' in learnt.stdout
    ran = new("run", "site.toml", "--headless", "--duration", "3", *sets, *command.sets[4:])
    assert done(ran).stderr.count("warning") == 0, ran.stderr


def seen(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM sightings").fetchone()[0])
