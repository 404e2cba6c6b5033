"""A camera's password comes from the environment or a file, and is told to the camera alone."""

import base64
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import zmq

from jetstream.config import secrets
from jetstream.config.schema import CameraConfig
from jetstream.errors import UserError
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.serving import Quiet, serving
from tests.support.waiting import PATIENCE_S

ODD = "p@ss:w/rd?#[%41] é"
"""a password that is no part of an address as it stands"""
FROM_FILE = "s3cret-of-the-file"
IN_CONFIG = "s3cret-of-the-config"


class Cameras:
    """Endless MJPEG for `user` with the right password; counts who was let in."""

    def __init__(self, stack: ExitStack) -> None:
        self.over = threading.Event()
        self.let_in: set[str] = set()
        self._stack = stack
        self._picture = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()

    def url(self, login: str, password: str) -> str:
        cameras, picture = self, self._picture
        right = "Basic " + base64.b64encode(f"user:{password}".encode()).decode()

        class Handler(Quiet):
            def reply(self) -> None:
                if self.headers.get("Authorization") != right:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                cameras.let_in.add(password)
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    for _ in count():
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                        self.wfile.write(head.encode() + picture + b"\r\n")
                        if cameras.over.wait(0.1):
                            return
                except OSError:
                    return

        return f"http://{login}@127.0.0.1:{self._stack.enter_context(serving(Handler))}/live"


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    with ExitStack() as stack:
        cameras = Cameras(stack)
        yield cameras
        cameras.over.set()


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.mark.pipeline
def test_passwords_are_in_nothing_that_a_real_pipeline_leaves_or_shows(
    tmp_path: Path, jetstream: Inside, cameras: Cameras, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM1_PASSWORD", ODD)
    file = private(tmp_path / "cam2.password", FROM_FILE + "\n")
    sources = {
        "environment": cameras.url("user:${CAM1_PASSWORD}", ODD),
        "file": cameras.url("user", FROM_FILE),
        "config": cameras.url(f"user:{IN_CONFIG}", IN_CONFIG),
        "refused": cameras.url("user:${CAM1_PASSWORD}", "another"),
        "gone": "rtsp://user:${CAM1_PASSWORD}@127.0.0.1:9/live",
    }
    tables = [f'[[cameras]]\nname = "{name}"\nsource = "{source}"\n' for name, source in sources.items()]
    tables[1] += f'password_file = "{file}"\n'
    config = tmp_path / "config.toml"
    config.write_text("\n".join(tables) + '[recognize]\nfaces = "demo"\n')

    with jetstream.running(
        str(config), "--headless", "--record", "rec", "--set", "pipeline.log_level=debug"
    ) as process:
        jetstream.wait(lambda status: cameras.let_in >= {ODD, FROM_FILE, IN_CONFIG}, process)
        told = topic(jetstream.endpoint, 20)
        status = repr(jetstream.wait(lambda status: True, process))
        lines = commands_of(process.pid)
        leaves = {path: path.read_bytes() for path in jetstream.run_dir.iterdir() if path.is_file()}
        modes = {path.name: path.lstat().st_mode & 0o777 for path in jetstream.run_dir.iterdir()}
        top = jetstream("top", "--once", sets=True).stdout
        pages = {path: page(jetstream.metrics + path) for path in ("/metrics", "/healthz", "/readyz")}
    checked = jetstream("check", str(config), sets=True)

    assert len(lines) > 8
    assert b'jetstream_frames_total{camera="environment"' in pages["/metrics"]
    shown = {
        "the log": jetstream.log().encode(),
        "check": (checked.stdout + checked.stderr).encode(),
        "the topic": told,
        "the status": status.encode(),
        "top": top.encode(),
        **pages,
        "command lines": b"\n".join(lines),
        **{path.name: content for path, content in leaves.items() if path.name != "config.json"},
        **{path.name: path.read_bytes() for path in (tmp_path / "rec").iterdir()},
    }
    for secret in (ODD, FROM_FILE, IN_CONFIG, "p%40ss", "p@ss", base64.b64encode(f"user:{ODD}".encode()).decode()):
        assert {where for where, text in shown.items() if secret.encode() in text} == set(), secret
    # what the user wrote into the config is in the run directory's copy, which nobody else can read
    own = leaves[jetstream.run_dir / "config.json"]
    assert b"${CAM1_PASSWORD}" in own
    assert IN_CONFIG.encode() in own
    assert not any(secret.encode() in own for secret in (ODD, FROM_FILE, "p%40ss"))
    assert jetstream.run_dir.stat().st_mode & 0o777 == 0o700
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    assert "access is denied" in jetstream.log()
    assert cameras.let_in == {ODD, FROM_FILE, IN_CONFIG}


def topic(endpoint: str, messages: int) -> bytes:
    with zmq.Context.instance().socket(zmq.SUB) as socket:
        socket.subscribe(b"")
        socket.connect(endpoint)
        assert socket.poll(int(PATIENCE_S * 1000))
        return b"".join(b"".join(socket.recv_multipart()) for _ in range(messages))


def page(url: str) -> bytes:
    """What is there, also where it isn't well."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()


def commands_of(pid: int) -> list[bytes]:
    """Command line and title of a process and all below it, as any user of the machine sees them."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return [Path(f"/proc/{p.pid}/{file}").read_bytes() for p in processes for file in ("cmdline", "comm", "stat")]


@pytest.mark.pipeline
def test_password_on_the_command_line_is_warned_of(jetstream: Inside, cameras: Cameras) -> None:
    words = ("run", DEMO, "--headless", "--duration", "0.5")
    url = cameras.url(f"user:{IN_CONFIG}", IN_CONFIG)
    result = jetstream(*words, "--source", url, sets=True)
    assert result.returncode == 0, result.stderr
    assert "every user of this machine can see the password in it; write" in result.stderr
    assert IN_CONFIG not in result.stderr


def test_config_with_a_password_that_others_can_read_is_warned_of(tmp_path: Path, jetstream: Inside) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[[cameras]]\nname = "door"\nsource = "rtsp://user:{IN_CONFIG}@127.0.0.1:9/x"\n')
    for mode, warned in ((0o644, True), (0o640, False), (0o600, False)):
        config.chmod(mode)
        result = jetstream("run", str(config), "--headless", sets=True)
        assert ("holds a password and others can read it; run `chmod 600" in result.stderr) == warned, result.stderr
        assert IN_CONFIG not in result.stderr


@pytest.mark.parametrize("secret", [ODD, "plain", "ünï", "a b\tc", "%", "://", "${X}"])
def test_any_character_may_be_in_a_password(secret: str, tmp_path: Path) -> None:
    file = private(tmp_path / "p", f"{secret}\n")
    for camera in (
        CameraConfig(name="door", source="rtsp://user:${P}@192.0.2.1:554/a?b=1"),
        CameraConfig(name="door", source="rtsp://user@192.0.2.1:554/a?b=1", password_file=str(file)),
    ):
        url = urllib.parse.urlsplit(secrets.address(camera, {"P": secret}))
        assert urllib.parse.unquote(url.password or "") == secret
        assert (url.username, url.hostname, url.port, url.path, url.query) == ("user", "192.0.2.1", 554, "/a", "b=1")


@pytest.mark.parametrize("source", ["0", "clips/${X}.mp4", "gst: videotestsrc ! ${X}", "demo"])
def test_only_addresses_are_filled_in(source: str) -> None:
    assert secrets.address(CameraConfig(name="a", source=source), {"X": "secret"}) == source


def test_missing_variable_is_said() -> None:
    camera = CameraConfig(name="door", source="rtsp://u:${NO_SUCH}@h/")
    with pytest.raises(UserError, match=r"^door: \$\{NO_SUCH\} isn't set in the environment; set it, or name a file"):
        secrets.address(camera, {})


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("tops3cret", 0o644, "others can read it"),
        ("", 0o600, "its first line is empty or isn't UTF-8"),
        ("\ntops3cret", 0o600, "its first line is empty or isn't UTF-8"),
    ],
)
def test_unusable_password_file_is_said(tmp_path: Path, content: str, mode: int, said: str) -> None:
    file = private(tmp_path / "p", content)
    file.chmod(mode)
    with pytest.raises(UserError, match=said) as refused:
        secrets.address(CameraConfig(name="door", source="rtsp://u@h/", password_file=str(file)))
    assert "tops3cret" not in str(refused.value)


@pytest.mark.parametrize("source", ["0", "rtsp://h/", "rtsp://u:p@h/", "gst: rtspsrc location=rtsp://u@h/", "demo"])
def test_password_file_needs_an_address_with_a_user(tmp_path: Path, source: str) -> None:
    file = private(tmp_path / "p", "secret")
    with pytest.raises(
        UserError, match="password_file: the source must be an address with a user and without a password"
    ):
        secrets.address(CameraConfig(name="door", source=source, password_file=str(file)))
