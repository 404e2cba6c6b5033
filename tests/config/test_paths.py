"""`~` and `${NAME}` in paths stand for what they stand for in a shell; files as Windows writes them are read."""

from pathlib import Path

import pytest

from jetstream.config import load, secrets
from jetstream.config.paths import expanded
from jetstream.config.schema import CameraConfig, Config
from jetstream.errors import UserError
from tests.support.inside import Inside

HOME = {"HOME": "/home/ada", "CLIPS": "/srv/clips"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", "/home/ada"),
        ("~/", "/home/ada"),
        ("~/faces", "/home/ada/faces"),
        ("${HOME}/faces", "/home/ada/faces"),
        ("${CLIPS}/a.mp4", "/srv/clips/a.mp4"),
        ("/srv/${HOME}/x", "/srv//home/ada/x"),
        ("\ufeff~/faces\u200b", "/home/ada/faces"),
        ("~root/x", f"{Path('~root').expanduser()}/x"),
        ("faces", "faces"),
        ("a~b", "a~b"),
        ("", ""),
    ],
)
def test_path_is_expanded(text: str, path: str) -> None:
    assert expanded(text, "here", HOME) == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${NO_SUCH}/x", r"^record.dir: \$\{NO_SUCH\}/x: \$\{NO_SUCH\} isn't set in the environment; set it, or write"),
        ("$HOME/x", r"^record.dir: \$HOME/x: write \$\{HOME\} with braces, or \./\$HOME/x for a path of that name$"),
        (
            "~nobody-here/x",
            r"^record.dir: ~nobody-here/x: there is no such user; write the path in full, or \./~nobody",
        ),
    ],
)
def test_path_that_cannot_be_expanded_is_said(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        expanded(text, "record.dir", HOME)


def test_file_with_a_dollar_in_its_name_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("$a.mp4").touch()
    Path("${b}.mp4").touch()
    assert [expanded(name, "here", {}) for name in ("$a.mp4", "${b}.mp4")] == ["$a.mp4", "${b}.mp4"]


def config_of(text: str) -> Config:
    return load.build(load.parse_toml(text.encode(), "c.toml"), where="c.toml")


def test_every_path_of_a_config_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    config = config_of(
        """
        pipeline.run_dir = "~/run"
        models.dir = "${HOME}/models"
        recognize.faces = "~/faces"
        record.dir = "~/recordings"
        publish = {keys = "~/keys"}
        gpu.engines_dir = "~/engines"
        [[cameras]]
        name = "film"
        source = "~/film.mp4"
        [[cameras]]
        name = "door"
        source = "rtsp://u:${HOME}@192.0.2.1/~x"
        password_file = "~/password"
        [[cameras]]
        name = "jetson"
        source = "gst: filesrc location=~/x"
        """
    )
    assert config.pipeline.run_dir == "/home/ada/run"
    assert config.models.dir == "/home/ada/models"
    assert config.recognize.faces == "/home/ada/faces"
    assert config.record.dir == "/home/ada/recordings"
    assert config.publish.keys == "/home/ada/keys"
    assert config.gpu.engines_dir == "/home/ada/engines"
    film, door, jetson = config.cameras
    assert film.source == "/home/ada/film.mp4"
    assert (door.source, door.password_file) == ("rtsp://u:${HOME}@192.0.2.1/~x", "/home/ada/password")
    assert jetson.source == "gst: filesrc location=~/x"


def test_endpoint_and_source_option_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    config = load.build({}, where="x", sets=["publish.endpoint=ipc://~/topic", "record.dir=${HOME}/r"])
    assert (config.publish.endpoint, config.record.dir) == ("ipc:///home/ada/topic", "/home/ada/r")
    assert [camera.source for camera in load.cameras_for(["~/a.mp4", "0"], config)] == ["/home/ada/a.mp4", "0"]


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--faces=~/nobody"),
        ("people", "--faces=${HOME}/nobody"),
        ("check", "~/none.toml"),
        ("identify", "~/none.jpg", "--faces=~/nobody"),
        ("trace", "1", "--out=~/none/t.json"),
        ("enroll", "Ada", "--from=~/none.jpg"),
        ("replay", "~/none.mp4"),
    ],
)
def test_no_option_makes_or_searches_a_folder_called_tilde(
    jetstream: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    result = jetstream(*words, sets=words[0] != "check")
    assert result.returncode
    assert "/home/ada/no" in result.stderr
    assert not (tmp_path / "~").exists()


def test_service_takes_no_path_in_a_home_by_tilde(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[record]\ndir = "~/recordings"\n')
    result = jetstream("service", "install", "c.toml", "--dry-run")
    assert result.returncode == 2
    assert "c.toml: ~/recordings: ~ would be the home of the service's user; write the path in full" in result.stderr


def test_file_as_windows_writes_it_is_read() -> None:
    text = '\ufeff[[cameras]]\r\nname = "do\u200bor"\r\n\u00a0source = "\u200bdemo\u00a0"\r\n"f\u00adps" = 5\r\n'
    (camera,) = config_of(text).cameras
    assert (camera.name, camera.source, camera.fps) == ("door", "demo", 5)


def test_utf_16_and_curly_quotes_are_said(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[[cameras]]", encoding="utf-16")
    with pytest.raises(UserError, match=r"c\.toml: is UTF-16 or no text; save it as UTF-8"):
        load.load(tmp_path / "c.toml")
    with pytest.raises(UserError, match='write " instead of \u201c'):
        config_of("record.dir = \u201cx\u201d")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfsecret\r\n", b"secret\r\nmore", b"secret\rmore", b"secret"])
def test_password_file_as_windows_writes_it_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").touch(mode=0o600)
    (tmp_path / "p").write_bytes(content)
    camera = CameraConfig(name="a", source="rtsp://u@h/", password_file=str(tmp_path / "p"))
    assert secrets.address(camera) == "rtsp://u:secret@h/"


def test_password_file_in_utf_16_is_said(tmp_path: Path) -> None:
    (tmp_path / "p").touch(mode=0o600)
    (tmp_path / "p").write_bytes("s3cret".encode("utf-16"))
    camera = CameraConfig(name="a", source="rtsp://u@h/", password_file=str(tmp_path / "p"))
    with pytest.raises(UserError, match=r"a: password_file: .*: is UTF-16 or no text; save it as UTF-8$"):
        secrets.address(camera)
