"""The run directory: one instance, and nobody's files but its own."""

import fcntl
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.errors import PipelineError, UserError
from jetstream.runtime.run_dir import LOCK, RunDir, claim
from tests.support.fulldisk import files_of_at_most
from tests.support.other_process import run_dir_held


def test_folder_is_private_and_holds_only_the_lock_afterwards(tmp_path: Path) -> None:
    with claim(tmp_path / "run") as folder:
        folder.write(Config(), {"a": "segment"})
        assert folder.path.stat().st_mode & 0o777 == 0o700
        assert folder.read_rings() == {"a": "segment"}
        assert folder.read_config() == Config()
        assert folder.is_running()

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]
    assert not RunDir(tmp_path / "run").is_running()


def test_folders_of_a_running_pipeline_begin_at_its_working_folder(tmp_path: Path) -> None:
    tables = {"models": {"dir": "m2"}, "record": {"dir": "/rec"}, "publish": {"keys": "keys"}}
    with run_dir_held(tmp_path, tables) as run_dir:
        config = RunDir(run_dir).running_config()

    assert (config.models.dir, config.recognize.faces) == (str(tmp_path / "m2"), str(tmp_path / "faces"))
    assert (config.record.dir, config.publish.keys) == ("/rec", str(tmp_path / "keys"))
    assert (config.sightings.dir, config.web.dir) == (str(tmp_path / "sightings"), str(tmp_path / "web"))
    assert config.gpu.engines_dir == ""
    with pytest.raises(PipelineError, match="isn't ready yet, or is ending"):
        RunDir(run_dir).running_config()


def test_second_claim_is_refused_with_the_pid(tmp_path: Path) -> None:
    with (
        claim(tmp_path / "run"),
        pytest.raises(UserError, match=r"another jetstream runs here \(pid \d+\)"),
        claim(tmp_path / "run"),
    ):
        pass


def test_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    tmp_path.chmod(0o755)

    with pytest.raises(UserError, match="holds other files"), claim(tmp_path):
        pass

    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_file_put_there_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with claim(tmp_path / "run"):
        (tmp_path / "run" / "notes").write_text("mine")

    assert (tmp_path / "run" / "notes").read_text() == "mine"
    with claim(tmp_path / "run"):
        pass


def test_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(UserError, match="a link"), claim(tmp_path / "link"):
        pass


def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with (
        files_of_at_most(0),
        pytest.raises(UserError, match=r"config\.json\.new: File too large; make room there"),
        claim(tmp_path / "run") as folder,
    ):
        folder.write(Config(), {})


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UserError, match=r"set pipeline\.run_dir"), claim(tmp_path / "file" / "run"):
        pass


def test_folder_is_locked_as_systemd_tmpfiles_respects_it(tmp_path: Path) -> None:
    with claim(tmp_path / "run") as folder:
        fd = os.open(folder.path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # what systemd-tmpfiles tries before it descends, see tmpfiles.d(5)
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(fd)


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="needs systemd-tmpfiles")
def test_systemd_tmpfiles_ages_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with claim(tmp_path / "old" / "run") as folder:
        folder.write(Config(), {})
        (tmp_path / "old" / "other").touch()
        rules = tmp_path / "rules.conf"
        rules.write_text(f"d {tmp_path}/old - - - 1us\n")
        subprocess.run(["systemd-tmpfiles", "--clean", str(rules)], check=False)
        assert not (tmp_path / "old" / "other").exists()
        assert {path.name for path in folder.path.iterdir()} == {"lock", "config.json", "packets.json", "rings.json"}


def test_look_or_a_cleaner_at_the_same_moment_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    fd = os.open(tmp_path / "run", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    threading.Timer(0.3, os.close, [fd]).start()
    with claim(tmp_path / "run") as folder:
        assert folder.is_running()


def test_second_instance_is_refused_where_the_lock_file_was_removed(tmp_path: Path) -> None:
    with claim(tmp_path / "run") as folder:
        (folder.path / LOCK).unlink()
        assert folder.is_running()
        with pytest.raises(UserError, match="another jetstream runs here"), claim(tmp_path / "run"):
            pass


@pytest.mark.parametrize("gone", ["files", "folder"])
def test_what_was_removed_is_there_again(tmp_path: Path, gone: str) -> None:
    with claim(tmp_path / "run") as folder:
        folder.write(Config(), {"door": "ring"})
        assert not folder.renew(0.0)
        if gone == "folder":
            shutil.rmtree(folder.path)
        else:
            for path in folder.path.iterdir():
                path.unlink()
        assert folder.renew(1.0)
        assert not folder.renew(2.0)
        assert (folder.read_config(), folder.read_rings()) == (Config(), {"door": "ring"})
        assert folder.path.stat().st_mode & 0o777 == 0o700
        with pytest.raises(UserError, match=rf"another jetstream runs here \(pid {os.getpid()}\)"), claim(folder.path):
            pass
    assert not RunDir(tmp_path / "run").is_running()


def test_one_file_that_was_removed_is_no_reason_to_start_again(tmp_path: Path) -> None:
    with claim(tmp_path / "run") as folder:
        folder.write(Config(), {})
        (folder.path / "config.json").unlink()
        assert not folder.renew(0.0)
        assert folder.read_config() == Config()


def test_times_are_renewed_for_cleaners_that_go_by_age(tmp_path: Path) -> None:
    with claim(tmp_path / "run") as folder:
        folder.write(Config(), {})
        for path in (folder.path, *folder.path.iterdir()):
            os.utime(path, (1.0, 1.0))
        folder.renew(0.0)
        assert all(path.stat().st_mtime > 1e9 for path in (folder.path, *folder.path.iterdir()))


def test_folder_that_cannot_be_made_again_or_was_taken_is_one_sentence(tmp_path: Path) -> None:
    with claim(tmp_path / "a" / "run") as folder:
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "a").touch()
        with pytest.raises(PipelineError, match=r"was removed and can't be made again \(.+\); set pipeline.run_dir to"):
            folder.renew(0.0)
    with claim(tmp_path / "run") as folder:
        shutil.rmtree(tmp_path / "run")
        with claim(tmp_path / "run"), pytest.raises(PipelineError, match="another jetstream has taken it"):
            folder.renew(0.0)
