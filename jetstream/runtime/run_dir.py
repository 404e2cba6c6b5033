"""The folder in which one running pipeline has its sockets, its effective config and the names of its rings.

One instance per folder, held by a lock that the kernel releases when the process ends. Knows no stage.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from jetstream.config.schema import Config
from jetstream.errors import GARBLED, PipelineError, UserError

LOCK, CONFIG, RINGS = "lock", "config.json", "rings.json"
NEW_CONFIG = "config.json.new"

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True)
class RunDir:
    """The folder `path` of one pipeline, which may run or not."""

    path: Path

    def write(self, config: Config, rings: Mapping[str, str]) -> None:
        """Write what the processes read: the config, and the name of each camera's ring. Raises UserError."""
        self.write_config(config)
        _write_private(self.path / RINGS, msgspec.json.encode(dict(rings)))

    def write_config(self, config: Config) -> None:
        """Replace the config in one step, since a process may be starting. Raises UserError where it can't be written;
        then the one before stays."""
        _write_private(self.path / NEW_CONFIG, msgspec.json.encode(config))
        os.replace(self.path / NEW_CONFIG, self.path / CONFIG)

    def read_config(self) -> Config:
        """The processes' config. Raises OSError; PipelineError: another version of jetstream wrote it."""
        try:
            return msgspec.json.decode((self.path / CONFIG).read_bytes(), type=Config)
        except GARBLED:
            raise _another_version(self.path) from None

    def running_config(self) -> Config:
        """The running pipeline's config, with relative folders made absolute from its working folder.

        Raises PipelineError where it is starting or ending, or of another version.
        """
        try:
            config = self.read_config()
            pid = (self.path / LOCK).read_text("ascii").strip()
            return _absolute(config, os.readlink(f"/proc/{pid}/cwd")) if pid else config  # none where the disk was full
        except OSError:
            raise not_ready(self.path) from None

    def read_rings(self) -> dict[str, str]:
        """Camera to the name of its ring's segment. Raises OSError."""
        return msgspec.json.decode((self.path / RINGS).read_bytes(), type=dict[str, str])

    def is_running(self) -> bool:
        """Whether an instance holds this folder."""
        try:
            with (self.path / LOCK).open("rb") as lock:
                return not _lock(lock.fileno())
        except OSError:
            return False

    def require_running(self) -> None:
        """Raises PipelineError where no instance holds this folder."""
        if not self.is_running():
            raise PipelineError(f"{self.path}: no jetstream runs here; start one, or name its config")


@contextmanager
def claim(path: Path) -> Iterator[RunDir]:
    """Hold the folder (made with mode 0700) while the pipeline runs; leave it empty but for the lock.

    Raises UserError: another instance runs in it, it belongs to another user, or it can't be written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise UserError(f"{path}: a link, or another user's; set pipeline.run_dir to a folder of your own")
        if any(path.iterdir()) and not (path / LOCK).exists():
            raise UserError(f"{path}: holds other files; set pipeline.run_dir to a folder for this alone")
        path.chmod(0o700)
        lock = os.open(path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; set pipeline.run_dir to a folder that can be written") from None
    try:
        if not _lock(lock):
            pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
            raise UserError(
                f"{path}: another jetstream runs here (pid {pid}); stop it, or set pipeline.run_dir to another folder"
            )
        _clear(path)
        os.ftruncate(lock, 0)
        with suppress(OSError):  # the disk is full; only a second instance, which is refused, would read it
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        umask = os.umask(0o077)  # for sockets too, here and in the child processes
        try:
            yield RunDir(path)
        finally:
            os.umask(umask)
            _clear(path)
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def decoded(payload: bytes, kind: type[S], run_dir: Path) -> S:
    """A message of the pipeline in `run_dir`. Raises PipelineError: it is of another version of jetstream."""
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except GARBLED:
        raise _another_version(run_dir) from None


def not_ready(run_dir: Path) -> PipelineError:
    return PipelineError(f"{run_dir}: the pipeline isn't ready yet, or is ending; try again")


def _absolute(config: Config, folder: str) -> Config:
    """`config` with every folder that it names relative to `folder`."""

    def path(text: str) -> str:
        return os.path.join(folder, text) if text else text

    faces = config.recognize.faces
    return msgspec.structs.replace(
        config,
        models=msgspec.structs.replace(config.models, dir=path(config.models.dir)),
        recognize=msgspec.structs.replace(config.recognize, faces=faces if faces == "demo" else path(faces)),
        record=msgspec.structs.replace(config.record, dir=path(config.record.dir)),
        publish=msgspec.structs.replace(config.publish, keys=path(config.publish.keys)),
        gpu=msgspec.structs.replace(config.gpu, engines_dir=path(config.gpu.engines_dir)),
    )


def _another_version(run_dir: Path) -> PipelineError:
    return PipelineError(f"{run_dir}: another version of jetstream runs here; restart it")


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(path: Path) -> None:
    """Remove what an earlier run left, and nothing else. The lock stays, or two instances could hold it."""
    for item in path.iterdir():
        if item.name in (CONFIG, NEW_CONFIG, RINGS) or item.is_socket():
            item.unlink(missing_ok=True)


def _write_private(path: Path, payload: bytes) -> None:
    try:
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(payload)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; make room there, or set pipeline.run_dir to another folder"
        ) from None
