"""Installs the systemd unit on this machine, removes it, and reports its state, with a line for each step.

Runs `systemctl`, and `useradd` where the service's user is missing. The unit's text comes from `unit`.
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
from jetstream.config.schema import Config, engines_dir, is_decoded_on_gpu
from jetstream.errors import JetstreamError, UserError
from jetstream.service import unit
from jetstream.service.unit import Installation

NAME = "jetstream.service"
UNITS = Path("/etc/systemd/system")
BOOTED = Path("/run/systemd/system")
GPU_SIGNS = ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/nvmap", "/dev/nvhost-gpu")
PROPERTIES = ("ActiveState", "SubState", "Result", "StatusText", "NRestarts", "MemoryCurrent", "UnitFileState")


class ServiceError(JetstreamError):
    """systemctl, useradd or the file system failed."""


def place_for(path: Path, config: Config, *, user: str, state: Path, memory_max: str) -> Installation:
    """What the unit needs to know of this machine for `config`, the content of the file `path`."""
    folders = [config.models.dir, str(engines_dir(config)), config.record.dir, config.sightings.dir, config.web.dir]
    writes = {folder for folder in folders if Path(folder).is_absolute() and not Path(folder).is_relative_to(state)}
    asks_for_gpu = config.gpu.backend in ("tensorrt", "onnxruntime") or any(map(is_decoded_on_gpu, config.cameras))
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
    """The files and folders that `config` names by absolute paths, to be read; no devices."""
    mqtt = config.mqtt
    named = [config.recognize.faces, config.publish.keys, mqtt.password_file, mqtt.ca, mqtt.cert, mqtt.key]
    for camera in config.cameras:
        is_pipeline = camera.source.startswith("gst:")
        named += [camera.password_file, *(re.split(r"[\s=\"']+", camera.source) if is_pipeline else [camera.source])]
    for alert in config.alerts:
        named += [alert.secret_file, alert.ca_file, *alert.command[:1]]
    return tuple(path for path in named if path.startswith("/") and not path.startswith("/dev/"))


def program() -> tuple[str, ...]:
    """The command, as a list of arguments, that runs jetstream from this virtual environment."""
    script = Path(sys.executable).parent / "jetstream"
    return (str(script),) if script.exists() else (sys.executable, "-m", "jetstream.cli")


def check_options(place: Installation) -> None:
    """Raises UserError for the user root and for a memory limit that systemd would ignore."""
    if place.user == "root":
        raise UserError(
            "--user root: a service that processes images and network data must not run as root; name another"
        )
    if not unit.is_memory_limit(place.memory_max):
        raise UserError(
            f"--memory-max {place.memory_max}: expected a share of the machine's memory such as 75%, a size such as 2G "
            "or 512M, or infinity for no limit"
        )


def check(text: str, place: Installation, folder: Path = UNITS, *, force: bool) -> Iterator[str]:
    """A line on the unit file that `install` would replace, if there is one.

    Raises UserError as `check_options` does, and, without `force`, when the file isn't jetstream's or was changed.
    """
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
            f"{path}: not written by jetstream, or changed since (put your own lines into `systemctl edit jetstream`); "
            "--force replaces it and keeps a copy"
        )


def install(text: str, place: Installation, folder: Path = UNITS, *, force: bool, start: bool) -> Iterator[str]:
    """Write the unit, enable it and, with `start`, start it; yields a line for each step.

    Makes the user and the folders that are missing. Raises UserError as `check` does, without root, or when the user
    can't read what the service needs; ServiceError when a command or the disk fails.
    """
    _need_root("install", f"writes {folder / NAME}")
    yield from check(text, place, folder, force=force)
    is_new = yield from _ensure_user(place)
    try:
        _check_readable(place)
    except UserError:
        if is_new:  # leave the machine as it was
            _command("userdel", place.user)
            yield f"user {place.user}: removed again"
        raise
    yield from _ensure_folders(place)
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
        yield "started; see `jetstream service status` and `journalctl -u jetstream`"


def uninstall(folder: Path = UNITS, *, force: bool) -> Iterator[str]:
    """Stop the service and remove the unit; yields a line for each step. Its data and its user stay.

    Raises UserError without root, when there is no unit, or, without `force`, when the unit isn't jetstream's or was
    changed; ServiceError when a command or the disk fails.
    """
    path = folder / NAME
    _need_root("uninstall", f"removes {path}")
    before = _read(path)
    if before is None:
        raise UserError(f"{path}: not found, so there is nothing to uninstall")
    if not unit.is_ours(before) and not force:
        raise UserError(f"{path}: not written by jetstream, or changed since; --force removes it anyway")
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
        f"galleries and recordings stay in {lines.get('WorkingDirectory', 'its folder')}, the log stays in the "
        f"journal, and user {lines.get('User', '')} stays; delete them if they are no longer needed"
    )


def status(folder: Path = UNITS) -> tuple[bool, list[str]]:
    """Whether the service runs, and lines on its unit, state, restarts and memory. Raises ServiceError."""
    path = folder / NAME
    before = _read(path)
    if before is None:
        return False, [f"{path}: not found; `jetstream service install CONFIG` writes it"]
    origin = "as jetstream wrote it" if unit.is_ours(before) else "not written by jetstream, or changed since"
    lines = [f"unit: {path}, {origin}"]
    if not BOOTED.is_dir():
        return False, [*lines, "systemd doesn't run here"]
    answer = _systemctl("show", NAME, f"--property={','.join(PROPERTIES)}")
    values = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    lines.append(f"state: {values.get('ActiveState')} ({values.get('SubState')}), {values.get('UnitFileState')}")
    if values.get("Result", "success") != "success":
        lines.append(f"last result: {values['Result']}")
    if values.get("StatusText"):
        lines.append(f"status: {values['StatusText']}")
    lines.append(f"restarts by systemd: {values.get('NRestarts', '?')}")
    if values.get("MemoryCurrent", "").isdigit() and len(values["MemoryCurrent"]) < 19:  # else it isn't measured
        lines.append(f"memory: {int(values['MemoryCurrent']) / 1e6:.0f} MB")
    return values.get("ActiveState") in ("active", "reloading"), lines


def _need_root(command: str, why: str) -> None:
    if os.geteuid() != 0:
        hint = "; `--dry-run` prints the unit without it" if command == "install" else ""
        raise UserError(f"service {command}: {why}, which needs root: put sudo before the command{hint}")


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _ensure_user(place: Installation) -> Generator[str, None, bool]:
    """Make the service's user if it is missing; returns whether it was made."""
    try:
        pwd.getpwnam(place.user)
    except KeyError:
        words = ["--system", "--user-group", "--no-create-home", "--home-dir", place.state]
        _command("useradd", *words, "--shell", "/usr/sbin/nologin", place.user)
        yield f"user {place.user}: created, without login"
        return True
    return False


def _check_readable(place: Installation) -> None:
    """Raises UserError unless the service's user can read the config, the files it names and jetstream itself.

    A child process of that user tries it, because modes, groups and all parent folders count. Skips files that don't
    exist: `run` reports those.
    """
    account = pwd.getpwnam(place.user)
    for path in (place.config, *filter(os.path.exists, (*place.files, *place.writes))):
        is_folder = os.path.isdir(path)
        enter = ("-a", "-x", path) if is_folder else ()
        if not _succeeds(account, "test", "-r", path, *enter):
            access = "" if path in place.writes else " (the service can still not write to it)"
            raise UserError(
                f"{path}: user {place.user} can't read it; `chown {'-R ' * is_folder}{place.user}` it{access} and make "
                "its parent folders accessible (chmod a+x), or put it into /etc/jetstream"
            )
    if not _succeeds(account, sys.executable, "-c", "import jetstream.cli"):
        raise UserError(
            f"{sys.executable}: user {place.user} can't run jetstream with it; install jetstream into a virtual "
            "environment that all users can read, such as /opt/jetstream/.venv"
        )


def _succeeds(account: pwd.struct_passwd, *command: str) -> bool:
    """Whether `command` exits with 0 when `account` runs it."""
    user, group = account.pw_uid, account.pw_gid
    groups = os.getgrouplist(account.pw_name, group)
    try:
        done = subprocess.run(
            command, user=user, group=group, extra_groups=groups, cwd="/", env={}, capture_output=True
        )  # fmt: skip
    except PermissionError:
        return False
    return done.returncode == 0


def _ensure_folders(place: Installation) -> Iterator[str]:
    """Make the missing folders outside /var/lib; systemd makes the others."""
    account = pwd.getpwnam(place.user)
    for folder in [*([] if place.is_in_var_lib else [place.state]), *place.writes]:
        if not Path(folder).is_dir():
            with _refusing(Path(folder)):
                Path(folder).mkdir(mode=0o700, parents=True)
                os.chown(folder, account.pw_uid, account.pw_gid)
            yield f"{folder}: created, accessible to user {place.user} only"


def _read(path: Path) -> str | None:
    with _refusing(path), contextlib.suppress(FileNotFoundError):
        return path.read_text(errors="replace")
    return None


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turns an OSError into a ServiceError that names `path`."""
    try:
        yield
    except OSError as error:
        raise ServiceError(f"{path}: {error.strerror}") from None


def _systemctl(*words: str) -> str:
    return _command("systemctl", *words)


def _command(name: str, *words: str) -> str:
    """The standard output of a command. Raises ServiceError when it is not installed or fails."""
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise ServiceError(f"{name}: not found; a service needs systemd, and its user needs the package passwd")
    done = subprocess.run([program, *words], capture_output=True, text=True)
    if done.returncode:
        raise ServiceError(f"{name} {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
