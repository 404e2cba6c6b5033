"""The folder in which one running pipeline has its sockets, its effective config, the names of its rings
and its newest log lines.

One instance per folder, held by locks on it and on a file in it, which the kernel releases when the process ends.
systemd-tmpfiles leaves a locked folder alone (tmpfiles.d(5)). What another cleaner removes is written again. Knows no
stage.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from jetstream.config.paths import absolute
from jetstream.config.schema import Config
from jetstream.errors import GARBLED, BusyError, PipelineError, UserError
from jetstream.newest_lines import OLD, NewestLines

LOCK, CONFIG, RINGS, ORIGINS, LINES = "lock", "config.json", "rings.json", "origins.json", "log.jsonl"
PACKETS, SWITCHES = "packets.json", "switches.json"
NEW_CONFIG = "config.json.new"

NO_NAMES: Mapping[str, str] = MappingProxyType({})

CLAIM_S = 2.0
"""time to wait for a lock on the folder: who looks whether it is in use, and a cleaner, hold one for a moment"""
RENEW_S = 600.0
"""how often the times of what is in the folder are set to now, for cleaners that go by age"""

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True)
class RunDir:
    """The folder `path` of one pipeline, which may run or not."""

    path: Path

    def write(self, config: Config, rings: Mapping[str, str], packets: Mapping[str, str] = NO_NAMES) -> None:
        """Write what the processes read: the config, the name of each camera's ring, and of its packet ring if it has
        one. Raises UserError."""
        self.write_config(config)
        _write_private(self.path / RINGS, msgspec.json.encode(dict(rings)))
        _write_private(self.path / PACKETS, msgspec.json.encode(dict(packets)))

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
            return absolute(config, os.readlink(f"/proc/{pid}/cwd")) if pid else config  # none where the disk was full
        except OSError:
            raise not_ready(self.path) from None

    def read_rings(self) -> dict[str, str]:
        """Camera to the name of its ring's segment. Raises OSError."""
        return msgspec.json.decode((self.path / RINGS).read_bytes(), type=dict[str, str])

    def read_packets(self) -> dict[str, str]:
        """Camera to the name of its packet ring's segment, of cameras that have one. Raises OSError."""
        return msgspec.json.decode((self.path / PACKETS).read_bytes(), type=dict[str, str])

    def write_origins(self, origins: Mapping[str, str]) -> None:
        """Write where each key of the config came from, of those that haven't their default. Raises UserError."""
        _write_private(self.path / ORIGINS, msgspec.json.encode(dict(origins)))

    def read_origins(self) -> dict[str, str]:
        """As they were written; empty where they weren't."""
        try:
            return msgspec.json.decode((self.path / ORIGINS).read_bytes(), type=dict[str, str])
        except (OSError, *GARBLED):
            return {}

    @property
    def lines(self) -> NewestLines:
        """The newest log lines of the run's processes."""
        return NewestLines(self.path / LINES)

    def is_running(self) -> bool:
        """Whether an instance holds this folder."""
        for path in (self.path, self.path / LOCK):
            with suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if not _lock(fd, fcntl.LOCK_SH):
                        return True
                finally:
                    os.close(fd)
        return False

    def renew(self, now_s: float) -> bool:
        """Whether the folder was emptied or removed, which only who holds it can know and mend."""
        return False

    def require_running(self) -> None:
        """Raises PipelineError where no instance holds this folder."""
        if not self.is_running():
            raise PipelineError(f"{self.path}: no jetstream runs here; start one, or name its config")


@dataclass(frozen=True)
class HeldRunDir(RunDir):
    """The folder of the pipeline that this process runs."""

    fds: list[int] = field(default_factory=list)  # of the folder and of the lock in it
    written: dict[str, bytes] = field(default_factory=dict)  # file name to content
    renewed: list[float] = field(default_factory=list)  # when, of time.monotonic()

    def write(self, config: Config, rings: Mapping[str, str], packets: Mapping[str, str] = NO_NAMES) -> None:
        """As `RunDir.write`."""
        self.written[RINGS] = msgspec.json.encode(dict(rings))
        self.written[PACKETS] = msgspec.json.encode(dict(packets))
        super().write(config, rings, packets)

    def write_config(self, config: Config) -> None:
        """As `RunDir.write_config`."""
        super().write_config(config)
        self.written[CONFIG] = msgspec.json.encode(config)

    def write_origins(self, origins: Mapping[str, str]) -> None:
        """As `RunDir.write_origins`."""
        super().write_origins(origins)
        self.written[ORIGINS] = msgspec.json.encode(dict(origins))

    def renew(self, now_s: float) -> bool:
        """Write again what is missing, and keep all of it young.

        True: the folder or its lock was removed, and perhaps sockets with it; the folder is held again.

        Raises PipelineError: it can't be made again, or another instance has taken it.
        """
        if gone := self._is_gone():
            self._hold_again()
        for name, content in self.written.items():
            if not (self.path / name).exists():
                _write_private(self.path / name, content)
        if not self.renewed or now_s - self.renewed[-1] > RENEW_S:
            self.renewed[:] = [now_s]
            for path in (self.path, *self.path.iterdir()):
                with suppress(OSError):
                    os.utime(path, follow_symlinks=False)
        return gone

    def _is_gone(self) -> bool:
        try:
            return not all(
                os.path.samestat(os.stat(path), os.fstat(fd))
                for path, fd in zip((self.path, self.path / LOCK), self.fds, strict=True)
            )
        except OSError:
            return True

    def _hold_again(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_same = os.path.samestat(os.stat(self.path), os.fstat(self.fds[0]))
            fds = _hold(self.path, self.fds[0] if is_same else -1)
        except (OSError, UserError) as error:
            reason = error.strerror if isinstance(error, OSError) else "another jetstream has taken it"
            raise PipelineError(
                f"{self.path}: the folder of this pipeline was removed and can't be made again ({reason}); set "
                "pipeline.run_dir to a folder that nothing cleans up, or run `loginctl enable-linger` if it is in "
                "/run/user"
            ) from None
        for fd in {*self.fds} - {*fds}:
            os.close(fd)
        self.fds[:] = fds

    def close(self) -> None:
        """Release the locks."""
        for fd in self.fds:
            os.close(fd)


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
        folder = HeldRunDir(path, _hold(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; set pipeline.run_dir to a folder that can be written") from None
    try:
        _clear(path)
        umask = os.umask(0o077)  # for sockets too, here and in the child processes
        try:
            yield folder
        finally:
            os.umask(umask)
            with suppress(OSError):  # the folder is gone
                _clear(path)
            os.ftruncate(folder.fds[1], 0)
    finally:
        folder.close()


def _hold(path: Path, folder: int = -1) -> list[int]:
    """Descriptors of the folder (`folder` if it is locked already) and of its lock file, both locked.

    Raises UserError: another instance has one of them.
    """
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if folder < 0 else folder]
    try:
        fds.append(os.open(path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        if not (_wait_for(fds[0]) and _wait_for(fds[1])):
            pid = os.pread(fds[1], 32, 0).decode(errors="replace").strip()
            raise BusyError(
                f"{path}: another jetstream runs here{f' (pid {pid})' if pid else ''}; stop it, or set "
                "pipeline.run_dir to another folder"
            )
        os.ftruncate(fds[1], 0)
        with suppress(OSError):  # the disk is full; only a second instance, which is refused, would read it
            os.pwrite(fds[1], str(os.getpid()).encode(), 0)
    except BaseException:
        for fd in fds:
            if fd != folder:
                os.close(fd)
        raise
    return fds


def _wait_for(fd: int) -> bool:
    """Take the lock. False where an instance has it; one that is shared, of whoever looks or cleans, is waited for."""
    until_s = time.monotonic() + CLAIM_S
    while not _lock(fd, fcntl.LOCK_EX):
        if not _lock(fd, fcntl.LOCK_SH) or time.monotonic() > until_s:
            return False
        time.sleep(CLAIM_S / 20)
    return True


def decoded(payload: bytes, kind: type[S], run_dir: Path) -> S:
    """A message of the pipeline in `run_dir`. Raises PipelineError: it is of another version of jetstream."""
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except GARBLED:
        raise _another_version(run_dir) from None


def not_ready(run_dir: Path) -> PipelineError:
    return PipelineError(f"{run_dir}: the pipeline isn't ready yet, or is ending; try again")


def _another_version(run_dir: Path) -> PipelineError:
    return PipelineError(f"{run_dir}: another version of jetstream runs here; restart it")


def _lock(fd: int, kind: int) -> bool:
    """Whether the lock is free, or this disk has none for folders (NFS): then the lock file's decides."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL):
            raise
    return True


def _clear(path: Path) -> None:
    """Remove what an earlier run left, and nothing else. The lock stays, or two instances could hold it."""
    for item in path.iterdir():
        if item.name in (CONFIG, NEW_CONFIG, RINGS, PACKETS, SWITCHES, ORIGINS, LINES, LINES + OLD) or item.is_socket():
            item.unlink(missing_ok=True)


def _write_private(path: Path, payload: bytes) -> None:
    try:
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(payload)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; make room there, or set pipeline.run_dir to another folder"
        ) from None
