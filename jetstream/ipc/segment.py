"""A named segment of shared memory: a file in /dev/shm, allocated in full at once, removed when its run is dead.

Knows no frames and no layout. Doesn't use `multiprocessing.shared_memory`, whose resource tracker removes segments that
other processes still use.

A segment's name is `jetstream.<pid>.<start time of that pid>.<camera>`. Locks are open-file-description locks on single
bytes of the file: the kernel releases them with the process, however it dies, and they work across PID namespaces, so a
container that shares /dev/shm is not taken for dead. Reading and writing frames takes no lock.
"""

import fcntl
import math
import mmap
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import IntEnum
from pathlib import Path

from jetstream.errors import RingError

SHARED_MEMORY = Path("/dev/shm")

_LONGEST_NAME_BYTES = 255  # NAME_MAX of tmpfs and every other Linux file system that holds rings
_NAME = re.compile(r"jetstream\.(\d+)\.(\d+)\.(.+)", re.DOTALL)


class Role(IntEnum):
    """The byte of the file that a lock is on."""

    OWNER = 0
    WRITER = 1
    CELLS = 2


class Segment:
    """A mapped file. Its memory stays mapped until the last view is gone, even after `close`."""

    def __init__(self, path: Path, fd: int, n_bytes: int) -> None:
        self.path = path
        self._fd = fd
        self._writes = False
        # Filling the page table now saves some 1,500 page faults for each frame of the first round.
        self._map = mmap.mmap(fd, n_bytes, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)

    @classmethod
    def create(cls, name: str, n_bytes: int, *, contents: str, directory: Path = SHARED_MEMORY) -> "Segment":
        """Reserve `n_bytes` of zeros under a new name; the error sentence says `contents` needed them.

        Raises RingError when there is too little space or the name is taken; nothing is left behind then.
        """
        path = _inside(directory, name)
        _check_space(path, n_bytes, contents)
        with ExitStack() as undo:
            fd = _open(path, os.O_CREAT | os.O_EXCL)
            undo.callback(os.close, fd)
            undo.callback(path.unlink, missing_ok=True)
            try:
                os.posix_fallocate(fd, 0, n_bytes)
            except OSError as error:
                raise RingError(
                    _too_small(path, n_bytes, contents, f"it can't be reserved ({error.strerror})")
                ) from error
            segment = cls(path, fd, n_bytes)
            undo.pop_all()
        segment.lock(Role.OWNER)
        return segment

    @classmethod
    def attach(cls, name: str, *, directory: Path = SHARED_MEMORY) -> "Segment":
        """Map a segment that another process made. Raises RingError when there is none, or another user owns it."""
        path = _inside(directory, name)
        with ExitStack() as undo:
            fd = _open(path if path.exists() else _held_by_owner(path))
            undo.callback(os.close, fd)
            status = os.fstat(fd)
            if not _is_ours(status):
                raise RingError(f"{path}: not a frame ring of this user; run every process of a pipeline as one user")
            if status.st_size == 0:
                raise RingError(f"{path}: empty, so not a frame ring; stop the run that made it and start again")
            segment = cls(path, fd, status.st_size)
            undo.pop_all()
        return segment

    @property
    def memory(self) -> memoryview:
        """The whole segment, page-aligned; not available after `close`.

        `close` unmaps it at once if every view was released before.
        """
        return memoryview(self._map)

    def lock(self, role: Role) -> bool:
        """Take the lock of `role` without waiting; False when another open file has it."""
        return _lock(self._fd, role, fcntl.F_OFD_SETLK)

    def become_writer(self, what: str) -> None:
        """Take the writer's lock, which lasts as long as the segment is open. Raises RingError when another open file
        has it; `what` is written there."""
        if not self._writes and not self.lock(Role.WRITER):
            raise RingError(f"{self.path}: another process writes to this {what}; a camera has one writer")
        self._writes = True

    @contextmanager
    def locked(self, role: Role) -> Iterator[None]:
        """Hold the lock of `role` for a block; waits for it."""
        _lock(self._fd, role, fcntl.F_OFD_SETLKW)
        try:
            yield
        finally:
            _lock(self._fd, role, fcntl.F_OFD_SETLK, kind=fcntl.F_UNLCK)

    def close(self) -> None:
        """Release all locks and unmap; while views of the memory exist, the last of them unmaps instead."""
        if self._fd < 0:
            return
        for role in Role:  # the mapping has a copy of the descriptor, which would keep the locks as long as a view
            _lock(self._fd, role, fcntl.F_OFD_SETLK, kind=fcntl.F_UNLCK)
        os.close(self._fd)
        self._fd = -1
        with suppress(BufferError):
            self._map.close()
        del self._map

    def unlink(self) -> None:
        """Remove the name. Processes that have it mapped keep their memory."""
        self.path.unlink(missing_ok=True)


def segment_name(camera: str, pid: int | None = None) -> str:
    """The name of a camera's segment in the run whose supervisor is `pid` (this process by default)."""
    pid = os.getpid() if pid is None else pid
    return f"jetstream.{pid}.{_start_ticks(pid) or 0}.{camera}"


def sweep(directory: Path = SHARED_MEMORY) -> list[str]:
    """Remove this user's segments whose run is dead, and return their names.

    A run is dead when no process has that pid and start time, and no process holds the owner's lock.
    """
    return [name for name in sorted(os.listdir(directory)) if _is_dead(directory / name) and _remove(directory / name)]


def _is_dead(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    if match is None or _start_ticks(int(match[1])) == int(match[2]):
        return False
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # another user's, a link, or gone already: not ours to remove
        return False
    try:
        return _is_ours(os.fstat(fd)) and _lock(fd, Role.OWNER, fcntl.F_OFD_SETLK)
    finally:
        os.close(fd)


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:  # another sweep was faster
        return False
    return True


def _start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (field 22 of proc_pid_stat(5)); None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in b"ZX" else int(fields[19])  # a zombie that nobody has waited for is dead too


def _lock(fd: int, role: Role, command: int, *, kind: int = fcntl.F_WRLCK) -> bool:
    request = struct.pack("hhqqi4x", kind, os.SEEK_SET, role, 1, 0)  # struct flock of 64-bit Linux
    try:
        fcntl.fcntl(fd, command, request)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, fcntl(2)
        return False
    return True


def _inside(directory: Path, name: str) -> Path:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise RingError(f"{name!r}: can't name a frame ring; use a camera name without slashes")
    if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        raise RingError(
            f"{name[:40]}…: can't name a frame ring, whose name has up to {_LONGEST_NAME_BYTES} bytes; use a shorter "
            "camera name"
        )
    return directory / name


def _held_by_owner(path: Path) -> Path:
    """The owner's open descriptor of a segment whose name was removed, as logind does when a user logs out (RemoveIPC).

    `path` itself where there is none.
    """
    match = _NAME.fullmatch(path.name)
    if match is None or _start_ticks(int(match[1])) != int(match[2]):
        return path
    with suppress(OSError):
        for fd in Path(f"/proc/{match[1]}/fd").iterdir():
            if os.readlink(fd) == f"{path} (deleted)":
                return fd
    return path


def _open(path: Path, flags: int = 0) -> int:
    try:
        follow = 0 if path.is_relative_to("/proc") else os.O_NOFOLLOW
        return os.open(path, os.O_RDWR | follow | flags, 0o600)
    except OSError as error:
        raise RingError(f"{path}: can't open the frame ring: {error.strerror}") from error


def _check_space(path: Path, n_bytes: int, contents: str) -> None:
    try:
        room = os.statvfs(path.parent)
    except OSError as error:
        raise RingError(f"{path.parent}: can't hold frame rings: {error.strerror}") from error
    free_bytes = room.f_bavail * room.f_frsize
    if room.f_blocks and free_bytes < n_bytes:  # no blocks at all is a tmpfs without a limit
        raise RingError(_too_small(path, n_bytes, contents, f"{free_bytes // 10**6} MB are free"))


def _too_small(path: Path, n_bytes: int, contents: str, why: str) -> str:
    needed_mb = math.ceil(n_bytes / 10**6)
    return (
        f"{path}: {contents} needs {needed_mb} MB, but {why}; use fewer slots, a smaller max_width and max_height, "
        f"or a bigger {path.parent} (docker run --shm-size)"
    )
