"""Puts the unit on this machine, takes it away, and says how it is. Each step is told as it is done.

Runs `systemctl`, and `useradd` where the user isn't there; everything else is `unit`'s text.
"""

import contextlib
import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import jetstream
from jetstream import files
from jetstream.config.schema import Config, engines_dir
from jetstream.errors import JetstreamError, UserError
from jetstream.service import unit
from jetstream.service.unit import Installation

NAME = "jetstream.service"
UNITS = Path("/etc/systemd/system")
BOOTED = Path("/run/systemd/system")
GPU_SIGNS = ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/nvmap", "/dev/nvhost-gpu")
SHOWN = ("ActiveState", "SubState", "Result", "StatusText", "NRestarts", "MemoryCurrent", "UnitFileState")


class ServiceError(JetstreamError):
    """systemd or the user database refused."""


def place_for(path: Path, config: Config, *, user: str, state: Path, memory_max: str) -> Installation:
    """What the unit for `config`, which stands in `path`, has to know of this machine."""
    folders = [config.models.dir, str(engines_dir(config)), config.record.dir]
    writes = {folder for folder in folders if Path(folder).is_absolute() and not Path(folder).is_relative_to(state)}
    asks_for_gpu = config.gpu.backend in ("tensorrt", "onnxruntime") or any(c.decoder == "cuda" for c in config.cameras)
    gpu = asks_for_gpu or any(Path(sign).exists() for sign in GPU_SIGNS)
    return Installation(
        command=program(),
        config=str(path.absolute()),
        state=str(state.absolute()),
        user=user,
        memory_max=memory_max,
        groups=tuple(group for group in ("video",) if _has_group(group)),
        reads=(sys.prefix, sys.base_prefix, str(Path(jetstream.__file__).parent.parent)),
        files=_files(config),
        writes=tuple(sorted(writes)),
        gpu=gpu,
        modprobe=shutil.which("nvidia-modprobe", path="/usr/bin:/usr/sbin:/bin:/sbin") or "" if gpu else "",
        argus=any("nvarguscamerasrc" in camera.source for camera in config.cameras),
    )


def _files(config: Config) -> tuple[str, ...]:
    """Files and folders that `config` names by their whole paths, to be read; no devices."""
    named = [config.recognize.faces, config.publish.keys]
    for camera in config.cameras:
        is_pipeline = camera.source.startswith("gst:")
        named += [camera.password_file, *(re.split(r"[\s=\"']+", camera.source) if is_pipeline else [camera.source])]
    return tuple(path for path in named if path.startswith("/") and not path.startswith("/dev/"))


def program() -> tuple[str, ...]:
    """The command that runs jetstream out of this virtual environment."""
    script = Path(sys.executable).parent / "jetstream"
    return (str(script),) if script.exists() else (sys.executable, "-m", "jetstream.cli")


def check_options(place: Installation) -> None:
    """Raises UserError: a user or a limit that can't be meant."""
    if place.user == "root":
        raise UserError("--user root: a service that looks at faces and the network needs no such rights; name another")
    if not unit.is_memory_limit(place.memory_max):
        raise UserError(
            f"--memory-max {place.memory_max}: expected a share of the machine's memory such as 75%, a size such as 2G "
            "or 512M, or infinity for no limit"
        )


def check(text: str, place: Installation, folder: Path = UNITS, *, force: bool) -> Iterator[str]:
    """What an installation would replace. Raises UserError: what `check_options` raises, or the file is somebody's own,
    and there is no `force`."""
    check_options(place)
    path = folder / NAME
    before = _read(path)
    if before is None or before == text:
        return
    if unit.is_ours(before):
        yield f"{path}: replaced; an earlier `jetstream service install` wrote it"
    elif force:
        yield f"{path}: not written by jetstream, or changed since; kept as {path}.before"
    else:
        raise UserError(
            f"{path}: not written by jetstream, or changed since (lines of your own belong in `systemctl edit "
            "jetstream`); --force replaces it and keeps a copy"
        )


def install(text: str, place: Installation, folder: Path = UNITS, *, force: bool, start: bool) -> Iterator[str]:
    """A line a step. Raises UserError, ServiceError."""
    _need_root("install", f"writes {folder / NAME}")
    yield from check(text, place, folder, force=force)
    is_new = yield from _have_user(place)
    try:
        _check_readable(place)
    except UserError:
        if is_new:  # nothing was changed, as far as anybody sees
            _command("userdel", place.user)
            yield f"user {place.user}: removed again"
        raise
    yield from _have_folders(place)
    path = folder / NAME
    before = _read(path)
    with _refusing(path):
        if before is not None and before != text and not unit.is_ours(before):
            path.rename(f"{path}.before")
        files.replace(path, text.encode())
        path.chmod(0o644)
    yield f"{path}: written"
    _systemctl("enable", NAME)
    yield "enabled: it starts with the machine"
    if not BOOTED.is_dir():
        yield "systemd doesn't run here, so nothing is started"
        return
    _systemctl("daemon-reload")
    if start:
        _systemctl("restart", NAME)
        yield "started; `jetstream service status` and `journalctl -u jetstream` say how it is"


def uninstall(folder: Path = UNITS, *, force: bool) -> Iterator[str]:
    """Stops it and removes the unit; what it wrote, and its user, stay. Raises UserError, ServiceError."""
    path = folder / NAME
    _need_root("uninstall", f"removes {path}")
    before = _read(path)
    if before is None:
        raise UserError(f"{path}: isn't there, so there is nothing to uninstall")
    if not unit.is_ours(before) and not force:
        raise UserError(f"{path}: not written by jetstream, or changed since; --force removes it all the same")
    _systemctl("disable", NAME)
    if BOOTED.is_dir():
        _systemctl("stop", NAME)
    with _refusing(path):
        path.unlink()
    if BOOTED.is_dir():
        _systemctl("daemon-reload")
    yield f"{path}: stopped, disabled and removed"
    lines = dict(line.split("=", 1) for line in before.splitlines() if "=" in line)
    yield (
        f"what it learnt and recorded stays in {lines.get('WorkingDirectory', 'its folder')}, its log in "
        f"the journal, and so does user {lines.get('User', '')}; delete them if they aren't needed"
    )


def status(folder: Path = UNITS) -> tuple[bool, list[str]]:
    """Whether it runs, and a line on each thing worth knowing."""
    path = folder / NAME
    before = _read(path)
    if before is None:
        return False, [f"{path}: isn't there; `jetstream service install CONFIG` writes it"]
    whose = "as jetstream wrote it" if unit.is_ours(before) else "not written by jetstream, or changed since"
    lines = [f"unit: {path}, {whose}"]
    if not BOOTED.is_dir():
        return False, [*lines, "systemd doesn't run here"]
    answer = _systemctl("show", NAME, f"--property={','.join(SHOWN)}")
    shown = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    lines.append(f"state: {shown.get('ActiveState')} ({shown.get('SubState')}), {shown.get('UnitFileState')}")
    if shown.get("Result", "success") != "success":
        lines.append(f"last end: {shown['Result']}")
    if shown.get("StatusText"):
        lines.append(f"says: {shown['StatusText']}")
    lines.append(f"restarts by systemd: {shown.get('NRestarts', '?')}")
    if shown.get("MemoryCurrent", "").isdigit() and len(shown["MemoryCurrent"]) < 19:  # else: not counted
        lines.append(f"memory: {int(shown['MemoryCurrent']) / 1e6:.0f} MB")
    return shown.get("ActiveState") in ("active", "reloading"), lines


def _need_root(command: str, why: str) -> None:
    if os.geteuid() != 0:
        hint = "; `--dry-run` shows it without" if command == "install" else ""
        raise UserError(f"service {command}: {why}, which needs root: put sudo before the command{hint}")


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _have_user(place: Installation) -> Generator[str, None, bool]:
    """Whether it was made."""
    try:
        pwd.getpwnam(place.user)
    except KeyError:
        words = ["--system", "--user-group", "--no-create-home", "--home-dir", place.state]
        _command("useradd", *words, "--shell", "/usr/sbin/nologin", place.user)
        yield f"user {place.user}: made; it can't log in"
        return True
    return False


def _check_readable(place: Installation) -> None:
    """By trying, as that user: modes, groups and folders above all count. What isn't there yet `run` will miss."""
    account = pwd.getpwnam(place.user)
    for path in (place.config, *filter(os.path.exists, (*place.files, *place.writes))):
        is_folder = os.path.isdir(path)
        enter = ("-a", "-x", path) if is_folder else ()
        if not _succeeds(account, "test", "-r", path, *enter):
            stays = "" if path in place.writes else " (to the service it stays read-only)"
            raise UserError(
                f"{path}: user {place.user} can't read it; `chown {'-R ' * is_folder}{place.user}` it{stays}, and let "
                "folders above be entered (chmod a+x), or put it into /etc/jetstream"
            )
    if not _succeeds(account, sys.executable, "-c", "import jetstream.cli"):
        raise UserError(
            f"{sys.executable}: user {place.user} can't run jetstream with it; install jetstream into a virtual "
            "environment that all may read, such as /opt/jetstream/.venv"
        )


def _succeeds(account: pwd.struct_passwd, *command: str) -> bool:
    """Whether `command` does, when that user runs it."""
    user, group = account.pw_uid, account.pw_gid
    groups = os.getgrouplist(account.pw_name, group)
    try:
        done = subprocess.run(
            command, user=user, group=group, extra_groups=groups, cwd="/", env={}, capture_output=True
        )  # fmt: skip
    except PermissionError:
        return False
    return done.returncode == 0


def _have_folders(place: Installation) -> Iterator[str]:
    """Those outside of /var/lib: systemd makes the others."""
    account = pwd.getpwnam(place.user)
    for folder in [*([] if place.is_in_var_lib else [place.state]), *place.writes]:
        if not Path(folder).is_dir():
            with _refusing(Path(folder)):
                Path(folder).mkdir(mode=0o700, parents=True)
                os.chown(folder, account.pw_uid, account.pw_gid)
            yield f"{folder}: made, for user {place.user} alone"


def _read(path: Path) -> str | None:
    with _refusing(path), contextlib.suppress(FileNotFoundError):
        return path.read_text(errors="replace")
    return None


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What the disk refuses is a ServiceError."""
    try:
        yield
    except OSError as error:
        raise ServiceError(f"{path}: {error.strerror}") from None


def _systemctl(*words: str) -> str:
    return _command("systemctl", *words)


def _command(name: str, *words: str) -> str:
    """What it printed. Raises ServiceError."""
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise ServiceError(f"{name}: not found; services need systemd, and making their user the package passwd")
    done = subprocess.run([program, *words], capture_output=True, text=True)
    if done.returncode:
        raise ServiceError(f"{name} {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
