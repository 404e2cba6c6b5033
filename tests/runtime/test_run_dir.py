"""The run directory: one instance, and nobody's files but its own."""

from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.errors import PipelineError, UserError
from jetstream.runtime.run_dir import RunDir, claim
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
