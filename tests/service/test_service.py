"""The unit of systemd: what it says, what systemd's own tools say of it, and how it gets onto a machine."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jetstream.config.load import build
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.service import manage, unit
from jetstream.service.manage import ServiceError
from jetstream.service.unit import Installation
from jetstream.startup import check_sources
from tests.support.inside import Inside
from tests.support.repository import REPOSITORY
from tests.support.waiting import PATIENCE_S

DEFAULT = REPOSITORY / "configs" / "default.toml"
HIGHEST_EXPOSURE = 3.0
ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze (apt-get install systemd)")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

HERE = Installation(command=(sys.executable,))
"""on this machine: `verify` wants to find the program"""
PLACES = {
    "gpu": HERE,
    "cpu": replace(HERE, gpu=False),
    "jetson": replace(HERE, argus=True),
    "limited": replace(HERE, memory_max="1.5G"),
    "unlimited": replace(HERE, memory_max="infinity"),
    "home": replace(HERE, state="/home/ada/jet stream", writes=("/srv/models",), config="/home/ada/50%.toml"),
}


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *words], capture_output=True, text=True, timeout=PATIENCE_S)


def written(folder: Path, text: str) -> Path:
    path = folder / manage.NAME
    path.write_text(text)
    return path


@needs_systemd
@pytest.mark.parametrize("name", PLACES)
def test_systemd_finds_nothing_to_say_and_little_exposed(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, unit.text(PLACES[name]))

    verified = analyze("verify", str(path))
    assert (verified.returncode, verified.stderr + verified.stdout) == (0, "")

    judged = analyze("security", "--offline=true", "--no-pager", str(path))
    if "unrecognized option" in judged.stderr:
        pytest.skip("this systemd can't judge a file (before 250)")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    assert found, judged
    assert float(found[1]) < HIGHEST_EXPOSURE


@needs_systemd
def test_verify_would_see_a_mistake(tmp_path: Path) -> None:
    path = written(tmp_path, unit.text(HERE).replace("WatchdogSec=30", "WatchdogSec=soon"))

    assert "ignoring: soon" in analyze("verify", str(path)).stderr


def test_unit_in_the_repository_is_the_one_that_would_be_written_for_opt() -> None:
    assert (REPOSITORY / "systemd" / "jetstream.service").read_text() == unit.text(Installation())


def test_checksum_knows_an_edited_unit() -> None:
    text = unit.text(Installation())

    assert unit.is_ours(text)
    assert not unit.is_ours(text.replace("MemoryMax=75%", "MemoryMax=90%"))
    assert not unit.is_ours("[Service]\nExecStart=/bin/true\n")


def test_special_letters_stay_themselves() -> None:
    assert unit.quoted("/opt/jetstream") == "/opt/jetstream"
    assert unit.quoted("/home/ada/jet stream") == '"/home/ada/jet stream"'
    assert unit.quoted('50%$"') == '"50%%$\\""'
    assert "/srv/$$x.toml --headless" in unit.text(replace(HERE, config="/srv/$x.toml"))


def test_without_a_gpu_nothing_of_it_is_allowed() -> None:
    lines = unit.text(replace(HERE, gpu=False)).splitlines()

    assert "MemoryDenyWriteExecute=yes" in lines
    assert not any("nvidia" in line for line in lines)
    assert "MemoryDenyWriteExecute=yes" not in unit.text(HERE).splitlines(), "CUDA compiles at run time"


def config(**tables: object) -> Config:
    return build(tables, where="test")


def place(settings: Config) -> Installation:
    return manage.place_for(DEFAULT, settings, user="jetstream", state=Path("/var/lib/jetstream"), memory_max="75%")


def test_folders_outside_of_the_state_may_be_written() -> None:
    settings = config(models={"dir": "/srv/models"}, record={"dir": "/var/lib/jetstream/rec"})
    lines = unit.text(place(settings)).splitlines()

    assert "ReadWritePaths=/srv/models" in lines
    assert not any("/var/lib/jetstream/rec" in line for line in lines)
    assert "WorkingDirectory=/var/lib/jetstream" in lines


@pytest.mark.parametrize(
    "tables",
    [
        {"cameras": [{"name": "c", "source": "rtsp://a@192.0.2.1/", "password_file": "/home/ada/cam1"}]},
        {"cameras": [{"name": "c", "source": "/home/ada/x.mp4"}]},
        {"cameras": [{"name": "c", "source": "/home/ada/*.jpg"}]},
        {"cameras": [{"name": "c", "source": "gst: filesrc location='/home/ada/x.mkv' ! decodebin"}]},
        {"publish": {"keys": "/home/ada/keys"}},
        {"alerts": [{"name": "a", "when": ["enter"], "command": ["/home/ada/notify"]}]},
        {"alerts": [{"name": "a", "when": ["enter"], "webhook": "https://x/", "secret_file": "/home/ada/hook"}]},
        {"models": {"dir": "/home/ada/models"}},
        {"gpu": {"engines_dir": "/home/ada/engines"}},
        {"record": {"dir": "/home/ada/rec"}},
        {"recognize": {"faces": "/home/ada/faces"}},
    ],
    ids=str,
)
def test_a_home_is_seen_by_a_service_whose_config_names_something_in_it(tables: dict[str, object]) -> None:
    there = replace(place(config(**tables)), command=("/opt/jetstream",), config="/etc/c.toml", reads=())

    assert there.is_in_a_home
    assert not replace(there, files=(), writes=()).is_in_a_home


def test_the_keys_of_the_topic_may_not_be_written_by_the_service() -> None:
    there = place(config(publish={"keys": "/srv/keys"}))

    assert "/srv/keys" in there.files
    assert there.writes == ()


def test_a_home_is_seen_where_something_lies_in_it_and_else_is_not() -> None:
    assert "ProtectHome=read-only" in unit.text(replace(HERE, config="/home/ada/c.toml"))
    assert "ProtectHome=yes" in unit.text(replace(HERE, command=("/opt/jetstream/bin/jetstream",), reads=()))


def test_a_jetsons_camera_daemon_is_reached() -> None:
    settings = config(cameras=[{"name": "csi", "source": "gst: nvarguscamerasrc ! nvvidconv"}])

    assert "BindPaths=-/tmp/argus_socket" in unit.text(place(settings))


@needs_systemd
def test_dry_run_prints_a_unit_that_systemd_takes_and_changes_nothing(jetstream: Inside, tmp_path: Path) -> None:
    result = jetstream.outside("service", "install", str(DEFAULT), "--dry-run")

    assert result.returncode == 0, result.stderr
    assert unit.is_ours(result.stdout)
    assert f"{DEFAULT} --headless" in result.stdout
    assert analyze("verify", str(written(tmp_path, result.stdout))).stderr == ""
    assert "/etc/systemd/system/jetstream.service: would contain the lines above" in result.stderr


def test_dry_run_refuses_a_bad_config_and_a_bad_limit(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[detect]\nmin_face = 3\n")
    result = jetstream("service", "install", "bad.toml", "--dry-run")

    assert result.returncode == 2
    assert "bad.toml: detect.min_face: unknown key; did you mean min_face_px?" in result.stderr

    result = jetstream("service", "install", str(DEFAULT), "--dry-run", "--memory-max", "2GB")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--memory-max 2GB: expected" in result.stderr


def test_without_root_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        UserError, match=r"needs root: put sudo before the command; `--dry-run` prints the unit without it$"
    ):
        list(manage.install("", HERE, tmp_path, force=False, start=False))
    with pytest.raises(UserError, match=r"removes .*jetstream\.service, which needs root"):
        list(manage.uninstall(tmp_path, force=False))


def test_a_unit_of_somebody_elses_is_never_replaced_without_saying_so(tmp_path: Path) -> None:
    text = unit.text(HERE)
    assert list(manage.check(text, HERE, tmp_path, force=False)) == []

    path = written(tmp_path, unit.text(Installation()))
    (line,) = manage.check(text, HERE, tmp_path, force=False)
    assert line == f"{path}: replaced; an earlier `jetstream service install` wrote it"

    written(tmp_path, "[Service]\nExecStart=/usr/local/bin/mine\n")
    with pytest.raises(UserError, match="not written by jetstream, or changed since"):
        list(manage.check(text, HERE, tmp_path, force=False))
    (line,) = manage.check(text, HERE, tmp_path, force=True)
    assert line.endswith(f"kept as {path}.before")


def test_root_is_no_user_for_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--user root"):
        list(manage.check("", replace(HERE, user="root"), tmp_path, force=False))


@needs_systemd
def test_limits_of_memory_are_taken_as_systemd_takes_them(tmp_path: Path) -> None:
    """A limit that it doesn't understand it ignores, so that there would be none."""
    taken = ["75%", "0.5%", "12.25%", "100%", "2G", "1.5G", "512M", "4194304K", "1T", "infinity"]
    ignored = ["2GB", "2g", "150%", "0%", "0G", "0.0001K", "75.555%", "inf", ".5G", "1e9", "99999999999T", "٢G"]
    for number, limit in enumerate([*taken, *ignored]):
        (tmp_path / f"{number}.service").write_text(f"[Service]\nExecStart=/bin/true\nMemoryMax={limit}\n")
        (tmp_path / f"{number}.service").chmod(0o644)
    verified = analyze("verify", *map(str, tmp_path.glob("*.service"))).stderr
    told = {int(found) for found in re.findall(r"/(\d+)\.service:3: .*emory limit .*ignoring", verified)}

    assert told == set(range(len(taken), len(taken) + len(ignored)))
    assert [limit for limit in [*taken, *ignored] if unit.is_memory_limit(limit)] == taken


@pytest.mark.parametrize("limit", ["2GB", "80", "", "2G\nUser=root"])
def test_a_mistyped_limit_of_memory_is_refused(limit: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)--memory-max .*: expected .* such as 75%, .* such as 2G"):
        list(manage.check("", replace(HERE, memory_max=limit), tmp_path, force=False))


def test_status_without_a_unit_is_exit_1(jetstream: Inside) -> None:
    if (manage.UNITS / manage.NAME).exists():
        pytest.skip("this machine has the service")
    result = jetstream("service", "status")

    assert result.returncode == 1
    assert "not found; `jetstream service install CONFIG` writes it" in result.stdout


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemctl` that only writes down what it is asked, beside a machine that was booted with systemd."""
    asked = tmp_path / "asked"
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "systemctl"
    script.write_text(f'#!/bin/sh\necho "$@" >> {asked}\necho ActiveState=active\necho StatusText=1 of 1\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(manage, "BOOTED", tmp_path)
    return asked


@needs_root
def test_install_and_uninstall_write_enable_start_stop_and_remove(
    systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user that is there already, who needs no access to this test's Python."""
    monkeypatch.setattr(manage, "_check_readable", lambda place: None)
    there = replace(HERE, user=pwd.getpwuid(65534).pw_name, state=str(tmp_path / "state"))
    folder = tmp_path / "units"
    folder.mkdir()
    told = list(manage.install(unit.text(there), there, folder, force=False, start=True))

    assert unit.is_ours((folder / manage.NAME).read_text())
    assert (tmp_path / "state").stat().st_uid == 65534
    assert told[-1].startswith("started")
    assert manage.status(folder) == (
        True,
        [
            f"unit: {folder / manage.NAME}, as jetstream wrote it",
            "state: active (None), None",
            "status: 1 of 1",
            "restarts by systemd: ?",
        ],
    )
    told = list(manage.uninstall(folder, force=False))
    assert not (folder / manage.NAME).exists()
    assert str(tmp_path / "state") in told[-1]
    assert "the log stays in the journal" in told[-1]
    asked = [line for line in systemctl.read_text().splitlines() if not line.startswith("show")]
    assert asked == [
        "enable jetstream.service",
        "daemon-reload",
        "restart jetstream.service",
        "disable jetstream.service",
        "stop jetstream.service",
        "daemon-reload",
    ]


@needs_root
def test_a_config_that_its_user_cannot_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("")
    (tmp_path / "c.toml").chmod(0o600)
    there = replace(HERE, user=pwd.getpwuid(65534).pw_name, config=str(tmp_path / "c.toml"))
    with pytest.raises(UserError, match=r"c\.toml: user \w+ can't read it; `chown"):
        list(manage.install(unit.text(there), there, tmp_path, force=False, start=False))

    assert not (tmp_path / manage.NAME).exists()


@needs_root
@pytest.mark.skipif(shutil.which("useradd") is None, reason="needs useradd")
def test_a_user_made_for_an_installation_that_fails_is_removed_again(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("")
    user = f"jetstream-{os.getpid()}"
    there = replace(HERE, user=user, config=str(tmp_path / "c.toml"))
    told: list[str] = []
    with pytest.raises(UserError, match="can't read it"):
        told.extend(manage.install(unit.text(there), there, tmp_path, force=False, start=False))

    assert told == [f"user {user}: created, without login", f"user {user}: removed again"]
    with pytest.raises(KeyError):
        pwd.getpwnam(user)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that all may enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@needs_root
@pytest.mark.parametrize("kind", ["password", "faces"])
def test_what_the_config_names_and_its_user_cannot_read_is_one_sentence(kind: str, open_folder: Path) -> None:
    (open_folder / "c.toml").write_text("")
    (open_folder / "c.toml").chmod(0o644)
    (open_folder / "password").write_text("hunter2")
    (open_folder / "password").chmod(0o600)
    (open_folder / "faces").mkdir(mode=0o744)
    files = (str(open_folder / "not there yet"), str(open_folder / kind))
    user = pwd.getpwuid(65534).pw_name
    there = replace(HERE, user=user, config=str(open_folder / "c.toml"), files=files)
    with pytest.raises(UserError, match=rf"{open_folder}/{kind}: user \w+ can't read it; `chown (-R )?\w+` it"):
        list(manage.install(unit.text(there), there, open_folder, force=False, start=False))


@needs_root
def test_what_the_disk_refuses_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manage, "_check_readable", lambda place: None)
    monkeypatch.setattr(manage, "_systemctl", lambda *words: "")
    there = replace(HERE, user=pwd.getpwuid(65534).pw_name, state="/etc/hostname/x")
    with pytest.raises(ServiceError, match=r"/etc/hostname/x: Not a directory$"):
        list(manage.install("", there, tmp_path, force=False, start=False))

    there = replace(there, state=str(tmp_path / "state"))
    with pytest.raises(ServiceError, match=r"units/jetstream\.service: No such file or directory$"):
        list(manage.install("", there, tmp_path / "units", force=False, start=False))

    written(tmp_path, "somebody's own")
    (tmp_path / f"{manage.NAME}.before" / "full").mkdir(parents=True)
    with pytest.raises(ServiceError, match=r"jetstream\.service: Is a directory$"):
        list(manage.install("", there, tmp_path, force=True, start=False))

    monkeypatch.setattr(manage, "_systemctl", lambda *words: (tmp_path / manage.NAME).unlink(missing_ok=True))
    with pytest.raises(ServiceError, match=r"jetstream\.service: No such file or directory$"):
        list(manage.uninstall(tmp_path, force=True))


def test_cameras_that_are_not_there_yet_are_waited_for_by_a_service(caplog: pytest.LogCaptureFixture) -> None:
    cameras = [{"name": "door", "source": "rtsp://user:hunter2@127.0.0.1:9/s", "open_timeout_s": 1}]
    with pytest.raises(UserError, match="refused"):
        list(check_sources(config(cameras=cameras)))

    assert list(check_sources(config(cameras=cameras, pipeline={"wait_for_cameras": True}))) == []
    assert "it will be tried again" in caplog.text
    assert "hunter2" not in caplog.text
