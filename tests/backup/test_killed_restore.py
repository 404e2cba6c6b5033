"""A restore that is killed, or refused a rename, at any step leaves all of the old or brings all of the new."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetstream.backup import journal
from jetstream.backup.restore import finish
from jetstream.config.schema import Config
from jetstream.errors import PipelineError, UserError
from jetstream.gallery import audit
from tests.support import sites
from tests.support.backups import bring_back, files_of, save
from tests.support.repository import REPOSITORY

KILLED = """
import os, signal, sys
from pathlib import Path
from jetstream.backup.restore import RestoreRequest, restore
from tests.support import sites


def dying_at(step):
    done = []

    def counted(call):
        def dying(*words, **more):
            done.append(call)
            if len(done) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*words, **more)
        return dying

    for name in ("rename", "replace", "fsync", "unlink", "rmdir", "mkdir", "sync"):
        setattr(os, name, counted(getattr(os, name)))
    return done


for line in sys.stdin:
    step, backup, root, new = line.rstrip("\\n").split("\t")
    child = os.fork()
    if not child:
        done = dying_at(int(step))
        request = RestoreRequest(Path(backup), sites.config_of(Path(root)), Path(new) if new else None)
        restore(request, lambda what, share: None, lambda manifest, there: None)
        os._exit(0 if len(done) == int(step) - 1 else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

DyingRestore = Callable[..., int]


@pytest.fixture
def restore_dying_at() -> Iterator[DyingRestore]:
    """A restore that is killed at its given step: -SIGKILL; 0 where it has exactly one step less."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def restore(step: int, backup: Path, root: Path, new: Path | str = "") -> int:
            print(step, backup, root, new, sep="\t", file=asked, flush=True)
            return int(answers.readline())

        yield restore
        asked.close()


def note_of(config: Config) -> Path:
    return Path(config.models.dir) / journal.JOURNAL


def changed(site: Config) -> dict[str, bytes]:
    """What the site holds after every part of it changed."""
    (Path(site.recognize.faces) / "Grace Hopper" / "2.jpg").write_bytes(b"newer")
    sites.store_gallery(site, seed=2)
    sites.record(site, "Eileen Collins")
    (Path(site.publish.keys) / "x.key").write_text("newer")
    Path(site.cameras[0].password_file).write_text("newer")
    (Path(site.models.dir) / "mynet.onnx").write_text("newer")
    return files_of(site)


def test_kill_at_every_step_leaves_the_old_or_the_new(
    archive: Path, site: Config, tmp_path: Path, restore_dying_at: DyingRestore
) -> None:
    """`new` where a journal tells the next command to finish; then what is left of the restore isn't needed."""
    new = files_of(site)
    old = changed(site)
    root = tmp_path / "site"
    shutil.copytree(root, tmp_path / "kept", symlinks=True)
    seen = []
    for step in range(1, 1000):
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "kept", root, symlinks=True)
        ended = restore_dying_at(step, archive, root)
        is_interrupted = note_of(site).exists()
        if is_interrupted:
            finish(site, note_of(site))
        now = files_of(site)
        assert now in (old, new), step
        seen.append((is_interrupted, now == new))
        if ended != -signal.SIGKILL:
            assert ended == 0
            break
        assert bring_back(archive, site), "a restore is possible again"
        assert files_of(site) == new
        assert not list(root.rglob("*.restore")) + list(root.rglob(journal.JOURNAL))

    assert [*dict.fromkeys(seen)] == [(False, False), (True, True), (False, True)], "before, between and after"
    assert sum(is_interrupted for is_interrupted, _ in seen) > 15


def test_kill_with_a_config_that_is_new_is_found_by_its_place(
    tmp_path: Path, site: Config, restore_dying_at: DyingRestore
) -> None:
    (tmp_path / "site.toml").write_text("[models]\n")
    backup = save(site, tmp_path / "b.tar", config_file=tmp_path / "site.toml").path
    for step in range(1, 1000):
        etc = tmp_path / f"etc{step}"
        ended = restore_dying_at(step, backup, tmp_path / f"other{step}", etc / "new.toml")
        note = journal.find(etc / "new.toml", None)
        if note is not None:
            content = journal.staged_in(note, etc / "new.toml")
            assert (etc / "new.toml").exists() == (content is None)
            finish(sites.config_of(tmp_path / f"other{step}"), note)
            break
        assert ended == -signal.SIGKILL

    assert (etc / "new.toml").read_text() == "[models]\n"
    assert files_of(sites.config_of(tmp_path / f"other{step}")) == files_of(site)


def test_rename_that_fails_puts_all_back(archive: Path, site: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at one rename, whichever it is."""
    old, rename = changed(site), os.rename
    for step in range(1, 100):
        done = []

        def failing(source: str, target: str, step: int = step, done: list[str] = done) -> None:
            done.append(source)
            if len(done) == step:
                raise OSError(errno.EIO, os.strerror(errno.EIO), source, None, target)
            rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", failing)
            with contextlib.suppress(UserError):
                bring_back(archive, site)
        if len(done) < step:
            break
        assert files_of(site) == old
        assert not note_of(site).exists()
        assert not list(Path(site.models.dir).parent.rglob("*.*restore*"))

    assert step > 10


def test_rename_that_fails_twice_leaves_the_journal(
    archive: Path, site: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, rename, done = files_of(site), os.rename, []
    changed(site)

    def failing(source: str, target: str) -> None:
        done.append(source)
        if len(done) > 5:
            raise OSError(errno.EIO, os.strerror(errno.EIO), source, None, target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", failing)
        with pytest.raises(PipelineError, match=r"nor could all be put back; .* --continue"):
            bring_back(archive, site)

    finish(site, note_of(site))
    assert files_of(site) == new


def test_what_was_made_anew_between_two_renames_is_kept(
    archive: Path, site: Config, restore_dying_at: DyingRestore
) -> None:
    for step in range(1, 1000):
        restore_dying_at(step, archive, Path(site.models.dir).parent)
        if note_of(site).exists():
            break
    (move,) = [move for move in journal.read(note_of(site)).moves if move.target.endswith("/faces")]
    os.rename(move.target, move.aside)
    Path(move.target).mkdir()
    (Path(move.target) / "note.txt").write_text("mine")

    done, _ = finish(site, note_of(site))

    assert (Path(f"{move.aside}-2") / "note.txt").read_text() == "mine"
    assert Path(move.aside) in done.asides


def test_finished_restore_has_its_audit_line(archive: Path, site: Config, restore_dying_at: DyingRestore) -> None:
    step = 0
    while not note_of(site).exists():
        step += 1
        restore_dying_at(step, archive, Path(site.models.dir).parent)

    finish(site, note_of(site))

    assert [line.what for line in audit.lines(Path(site.models.dir))] == ["enroll", "backup", "restore"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_journal_that_is_none_is_refused(content: bytes, site: Config) -> None:
    note_of(site).write_bytes(content)

    with pytest.raises(UserError, match=r"\.jetstream-restore\.json: can't be read"):
        finish(site, note_of(site))
