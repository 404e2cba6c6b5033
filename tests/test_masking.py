"""Whatever may be a secret is masked, in valid addresses and in texts that hardly are any."""

import subprocess
import sys
import urllib.parse
from pathlib import Path

import msgspec
import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from jetstream import startup
from jetstream.config import load, secrets
from jetstream.config.schema import CameraConfig, Config
from jetstream.errors import JetstreamError, SourceError
from jetstream.known_secrets import KnownSecrets
from jetstream.masking import holds_password, host_of, masked, masked_source
from jetstream.video import address
from tests.support.inside import Inside

BEFORE = ("rtsp://", "rtsps://", "RTSP://", "http://", "rtmp://", "ffmpeg:rtsp://", " rtsp://", "rtsp:/", "rtsp:", "")
HOSTS = ("192.0.2.5", "192.0.2.5:554", "[2001:db8::5]:554")
AFTER = ("", "/", "/stream1", "/cam/realmonitor?channel=1&subtype=0", "/Streaming/Channels/101#x")
HARMLESS = " ".join((*BEFORE, *HOSTS, *AFTER, "door: no answer; opened again in 0.5 s stream pipeline ***@***"))
passwords = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S"), include_characters=" "), min_size=4)


def leaked(password: str, text: str) -> str:
    """The longest piece of the password, of 3 characters or more, that `text` tells and that isn't there anyway."""
    pieces = (password[i:j] for i in range(len(password)) for j in range(i + 3, len(password) + 1))
    return max((p for p in pieces if p in text and p.strip() and p not in HARMLESS), key=len, default="")


@given(passwords, st.sampled_from(BEFORE), st.sampled_from(HOSTS), st.sampled_from(AFTER))
@example("se@cr/et", "rtsp://", HOSTS[1], AFTER[3])
@example("Wh4t?now", "rtsp://", HOSTS[1], AFTER[3])
@example("8080/secret", "http://", HOSTS[0], AFTER[3])
@example("?channel=secret", "rtsp://", HOSTS[0], AFTER[3])
@example("p@ss:w/o#r?d%20", "", HOSTS[0], AFTER[1])
@example("my secret", "ffmpeg:rtsp://", HOSTS[0], AFTER[2])
def test_no_piece_of_a_login_is_shown(password: str, before: str, host: str, after: str) -> None:
    spec = f"{before}admin:{password}@{host}{after}"
    shown = masked_source(spec)
    line = masked(f"door: {spec}: no answer; opened again in 0.5 s")
    assert leaked(password, shown) == ""
    assert leaked(password, line) == ""
    assert "admin" not in shown + line
    assert leaked(password, load.camera_name(spec)) == ""
    assert masked(shown) == shown, "what is masked stays as it is"
    assert leaked(password, address.shown(spec)) == ""
    assert leaked(password, str(SourceError(f"{spec}: no answer"))) == ""


TOKEN = "a8f5f167f44f4964"


@pytest.mark.parametrize(
    "spec",
    [
        f"rtsp://192.0.2.5/{TOKEN}",
        f"rtsp://192.0.2.5/live/{TOKEN}/stream",
        f"rtsp://192.0.2.5/live?{TOKEN}",
        f"rtsp://192.0.2.5/live?token={TOKEN}",
        f"rtsp://192.0.2.5/live?channel={TOKEN}",
        f"rtsp://192.0.2.5/live?{TOKEN}=1",
        f"rtsp://192.0.2.5/live#{TOKEN}",
        f"rtsp://192.0.2.5/user=admin&password={TOKEN}&channel=1&stream=0.sdp",
        f"rtsp://192.0.2.5:554/user=admin_password={TOKEN}_channel=1_stream=0.sdp?real_stream",
        f"rtsp:/192.0.2.5/user=admin&password={TOKEN}",
        f"192.0.2.5/user=admin&password={TOKEN}",
        f"http://192.0.2.5/cgi?user=admin&pwd=x@{TOKEN}",
        f"http://192.0.2.5/cgi?user=admin&pwd=x@{TOKEN}.de",
        f"rtsp://{TOKEN}@192.0.2.5/live",
        f"rtsp://admin:{TOKEN}",
        "rtsp://admin:96417",
        f"admin:{TOKEN}@camera",
        f"admin:{TOKEN}",
        f"{TOKEN}://192.0.2.5",
        f"gst: rtspsrc location=rtsp://me:x@192.0.2.5/{TOKEN}",
        f"gst: rtspsrc location=rtsp://192.0.2.5/live user-pw={TOKEN}",
        f"gst: rtspsrc location='rtsp://me:a b {TOKEN}@192.0.2.5/live' ! queue",
        f"gst: rtspsrc location=rtsp://me:a b {TOKEN}@192.0.2.5/live ! queue",
        f'gst: rtspsrc extra-headers="headers,Authorization=(string){TOKEN}"',
        f"gst: souphttpsrc location=http://192.0.2.5/{TOKEN} cookies={TOKEN}",
    ],
)
def test_no_token_is_shown(spec: str) -> None:
    for shown in (masked_source(spec), address.shown(spec), masked_source(masked_source(spec))):
        assert not {TOKEN, "96417", "x@"} & set(shown.replace("/", " ").replace("=", " ").split()), shown
        assert TOKEN not in shown
        assert "96417" not in shown
        assert masked(shown) == shown
    assert TOKEN not in load.camera_name(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "rtsp://192.0.2.5:554/Streaming/Channels/101",
        "rtsp://cam:554/h264Preview_01_main",
        "http://192.0.2.5/axis-cgi/mjpg/video.cgi?resolution=640x480",
        "rtsp://***@192.0.2.5/cam/realmonitor?channel=1&subtype=0",
        "http://cam.example:1234/video",
        "videos/party@home.mp4",
        "2026-11-28 12:30:00.mp4",
        "C:/videos/party.mp4",
        "shots/*.png",
        "usb-046d_C920-video-index0",
        "/dev/video0",
        "0",
        "demo",
        "gst: nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM),width=1280,framerate=30/1 ! nvvidconv",
    ],
)
def test_what_tells_cameras_apart_is_shown(spec: str) -> None:
    assert masked_source(spec) == spec
    assert not holds_password(spec)


@pytest.mark.parametrize(
    "text", ["rtsp://user@192.0.2.10/stream1", "--at 320,180@2.5", "use http://127.0.0.1:PORT", "http://HOST:PORT"]
)
def test_examples_in_messages_stay_readable(text: str) -> None:
    assert str(SourceError(f"the source must be such as {text}, or so")) == f"the source must be such as {text}, or so"


def test_file_is_named_whole_where_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a:b@c"
    assert str(path) != address.shown(str(path))
    path.touch()
    assert str(path) == address.shown(str(path))


@pytest.mark.parametrize(
    ("spec", "host"),
    [
        ("rtsp://admin:se/cr?et@192.0.2.5:554/a", "192.0.2.5"),
        ("rtsp://cam.example/a", "cam.example"),
        ("ffmpeg:rtsp://u:p@192.0.2.5/a", "192.0.2.5"),
        ("http://192.0.2.5/cgi?pwd=x@secret.de", ""),
        ("rtsp://[2001:db8::5]:554/", "[2001:db8::5]"),
    ],
)
def test_host_is_told_where_it_is_sure(spec: str, host: str) -> None:
    assert host_of(spec) == host


@given(passwords.filter(lambda text: bool(text.strip()) and bool(text.strip("*"))))
def test_secret_that_is_known_is_hidden_in_every_form(password: str) -> None:
    known = KnownSecrets()
    known.add(password)
    for form in (password, urllib.parse.quote(password), urllib.parse.quote(password, safe=""), repr(password)[1:-1]):
        assert form not in known.hidden(f"line <{form}> ends", "***").removeprefix("line <").removesuffix("> ends")


def test_short_secret_is_hidden_as_a_word_alone() -> None:
    known = KnownSecrets()
    known.add("run")
    known.add("7")
    assert known.hidden("run: running 7 of run", "***") == "***: running 7 of ***"


def test_secrets_from_file_and_environment_are_hidden_wherever_they_appear(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("tr4de/wind\n")
    secrets.address(CameraConfig(name="a", source="rtsp://ada@192.0.2.1/a", password_file=str(file)))
    secrets.know(Config(cameras=(CameraConfig(name="a", source="rtsp://ada:${P}@192.0.2.1/a"),)), {"P": "mön soon"})
    told = masked("tr4de/wind tr4de%2Fwind tr4de%2fwind YWRhOnRyNGRlL3dpbmQ= mön soon m%C3%B6n%20soon m%C3%B6n+soon")
    assert told == " ".join(["***"] * 7)


LEAKS = (
    "rtsp://admin:2024/Secr3t@127.0.0.1:1/stream",
    "rtsp://admin:Secr3t?now@127.0.0.1:1/cam/realmonitor?channel=1&subtype=0",
    "rtsp://admin:a@Secr3t#x@127.0.0.1:1/live",
    "rtsp://127.0.0.1:1/user=admin&password=Secr3t",
    "ffmpeg:rtsp://admin:Secr3t@127.0.0.1:1/s",
    "admin:Secr3t@127.0.0.1:1",
    "rtsp:/admin:Secr3t@127.0.0.1:1/s",
    "rtps://admin:Secr3t@127.0.0.1:1/s",
    "gst: rtspsrc location=rtsp://admin:Secr3t@127.0.0.1:1/s",
)


@pytest.mark.parametrize("spec", LEAKS)
def test_no_command_shows_a_password(spec: str, jetstream: Inside, tmp_path: Path) -> None:
    camera = {"name": "door", "source": spec, "open_timeout_s": 2.0}
    (tmp_path / "c.toml").write_text(tomli_w.dumps({"cameras": [camera]}))
    for words in (
        ("check", "c.toml"),
        ("run", "c.toml", "--headless"),
        ("run", "c.toml", "--headless", "--source", spec),
        ("run", "c.toml", spec),
        ("check", "c.toml", "--set", f"cameras.1.source={spec}"),
        ("check", "c.toml", "--set", f"cameras.door.name={spec}"),
        ("enroll", "Ada", "--from", spec),
        ("replay", spec),
    ):
        result = jetstream(*words, sets=True)
        assert result.returncode, words
        assert "Secr3t" not in result.stdout + result.stderr, words


def test_effective_config_shows_no_password() -> None:
    for spec in LEAKS:
        config = load.build({"cameras": [{"name": "door", "source": spec}]}, where="test")
        assert b"Secr3t" not in msgspec.json.encode(startup.masked_sources(config))


@pytest.mark.parametrize(
    "crash",
    [
        "raise OSError('rtsp://a:Secr3t/x@127.0.0.1/s')",
        "import threading; threading.Thread(target=lambda: open('rtsp://a:Secr3t@h/s')).start()",
        "class A:\n    def __del__(self): raise ValueError('http://h/?token=Secr3t')\nA()",
    ],
)
def test_traceback_of_a_crash_shows_no_password(crash: str) -> None:
    program = f"from jetstream.logs import mask_tracebacks\nmask_tracebacks()\nif True:\n{_indented(crash)}"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr
    assert "Traceback" in said
    assert "***" in said
    assert "Secr3t" not in said


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_pipelines_password_in_ps_is_warned_of(tmp_path: Path) -> None:
    camera = CameraConfig(name="door", source="gst: rtspsrc location=rtsp://a:b@192.0.2.1/ user-pw=c")
    (warning,) = secrets.seen_by_others(tmp_path / "none.toml", (), Config(cameras=(camera,)))
    assert warning.startswith("door: every user of this machine can see the pipeline's password in `ps`; use the")


def test_refused_config_shows_no_password() -> None:
    with pytest.raises(JetstreamError) as refused:
        load.build({"cameras": [{"name": "rtsp://a:Secr3t@h/s", "source": "demo"}]}, where="test")
    assert "Secr3t" not in masked(str(refused.value))
