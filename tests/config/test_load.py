"""Config files: what is right passes, what is wrong is one sentence with the key and the remedy."""

from pathlib import Path

import pytest

from jetstream.config import load
from jetstream.config import schema as configuration
from jetstream.errors import UserError
from tests.support.repository import REPOSITORY


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[detect]\nthresholds = [0.6, 6, 0.7]", "detect.thresholds[1]: expected a number < 1.0, got 6"),
        ("[detect]\ntresholds = [0.6, 0.7, 0.7]", "detect.tresholds: unknown key; did you mean thresholds?"),
        ("[detct]\nfactor = 0.7", "detct: unknown key; did you mean detect?"),
        ('[detect]\nmin_face_px = "a"', "detect.min_face_px: expected a number, got a str"),
        ('[detect]\npreset = "slow"', "'slow' (allowed: fast, accurate, still)"),
        ('[detect]\nsearch = "slow"', "(allowed: always, nth, motion)"),
        ("[pipeline]\nslots = 1.5", "pipeline.slots: expected a whole number"),
        ("pipeline = 3", "pipeline: expected a table, got a int"),
        (
            '[publish]\nendpoint = "nowhere"',
            "publish.endpoint: has characters or a form that is not allowed, got 'nowhere'",
        ),
        ('[[cameras]]\nname = "a b"\nsource = "0"', "cameras[0].name: has characters or a form that is not allowed"),
        ('[[cameras]]\nname = "../a"\nsource = "0"', "cameras[0].name: has characters or a form that is not allowed"),
        ('[[cameras]]\nname = "a"\nsource = "0"\nfsp = 3', "cameras[0].fsp: unknown key; did you mean fps?"),
        ('[[cameras]]\nname = "a"', "cameras[0]: needs the key source"),
        ('[[cameras]]\nname="a"\nsource=0\n[[cameras]]\nname="a"\nsource=1', "two cameras are named a"),
        ("[mqtt]\nenabled = true", "mqtt.broker: is empty; name the broker, such as mqtt://user@192.168.1.2:1883"),
        (
            '[mqtt]\nenabled = true\nbroker = "mqtt://h"\n[sightings]\nenabled = false',
            "mqtt.enabled: the broker is told of sightings, and sightings.enabled is false; set it to true, or",
        ),
        ('[mqtt]\nbroker = "http://h"', "write mqtt://HOST:PORT or mqtt://user@HOST:PORT, with mqtts for TLS"),
        (
            '[mqtt]\nbroker = "mqtt://u:s3cret/x@h"',
            "mqtt.broker: has characters or a form that is not allowed, got 'mqtt://***",
        ),
        ('[mqtt]\nbroker = "mqtt://192.0.2.1:70000"', "mqtt://192.0.2.1:70000: expected a port from 1 to 65535"),
        ('[mqtt]\nbroker = "mqtt://h"\nca = "ca.pem"', "mqtt.broker: has certificates (mqtt.ca, mqtt.cert), so write"),
        ('[mqtt]\nbroker = "mqtts://h"\ncert = "c.pem"', "mqtt.key: is empty; a client's certificate needs both"),
        (
            '[mqtt]\nprefix = "a/#"',
            "form that is not allowed, got 'a/#'; write words of letters",
        ),
        ('[mqtt]\nalso = "zigbee"', '(allowed: "", frigate)'),
        ("[[detect.ignore]]\nbox = [1, 2, 3]", "detect.ignore[0].box"),
        ("[[detect.ignore]]\nbox = [9, 2, 3, 4]", "expected x1 < x2 and y1 < y2"),
        ('[[detect.ignore]]\ncamera = "b"\nbox = [1, 2, 3, 4]', "there is no camera b"),
        (
            '[publish]\nendpoint = "tcp://0.0.0.0:5570"',
            "publish.endpoint: tcp://0.0.0.0:5570: only this machine may listen",
        ),
        ("[pipeline]\nheartbeat_timeout_s = inf", "pipeline.heartbeat_timeout_s: expected a finite number"),
        ('[pipeline]\nwithout = ["trak"]', "(allowed: capture, decode, detect, track"),
        ("[gpu]\ndevices = 1", "gpu.devices: expected a list in square brackets, got 1"),
        ("[gpu]\ndevices = [0, -1]", "gpu.devices[1]: expected a number >= 0, got -1"),
        (
            "[gpu]\ndevices = [0, 2, 0]",
            "gpu.devices: GPU 0 is named twice; name it once; for more processes on it set detect.processes",
        ),
        (
            "[gpu]\ndevice = 0\ndevices = [1, 2]",
            "gpu.device: 0 is not one of gpu.devices = [1, 2]; leave out one of the two keys",
        ),
        ("[detect]\nmax_face_px = 20", "detect.max_face_px: 20.0 is under min_face_px"),
        ("x =", "not TOML"),
    ],
)
def test_mistake_is_one_sentence_with_file_key_and_remedy(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(UserError) as raised:
        load.load(path)

    assert sentence in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value).removeprefix(f"{path}: not TOML: ")


def test_missing_file_names_an_example(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothere\.toml: No such file or directory; name a config file"):
        load.load(tmp_path / "nothere.toml")


def test_camera_index_needs_no_quotes(tmp_path: Path) -> None:
    config = load.load(written(tmp_path, '[[cameras]]\nname = "a"\nsource = 0'))

    assert config.cameras[0].source == "0"


def test_set_overrides_the_file_with_or_without_quotes(tmp_path: Path) -> None:
    path = written(tmp_path, '[detect]\nmin_face_px = 50\n[[cameras]]\nname = "door"\nsource = "0"')

    config = load.load(path, sets=["detect.min_face_px=60", "pipeline.pace=every-frame", "cameras.door.fps=5"])

    assert config.detect.min_face_px == 60
    assert config.pipeline.pace == "every-frame"
    assert config.cameras[0].fps == 5


@pytest.mark.parametrize(
    "setting", ["detect=6", "detect.preset", "cameras.nobody.fps=5", ".a=1", "detect.min_face_px=6"]
)
def test_set_that_makes_no_sense_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(UserError, match=r"--set|min_face_px"):
        load.load(written(tmp_path, '[[cameras]]\nname = "door"\nsource = "0"'), sets=[setting])


def test_preset_fills_what_the_file_leaves_open(tmp_path: Path) -> None:
    config = load.load(written(tmp_path, '[detect]\npreset = "accurate"\nfactor = 0.5'))

    assert config.detect.thresholds == (0.6, 0.7, 0.5)
    assert config.detect.search == "always"
    assert config.detect.factor == 0.5


@pytest.mark.parametrize(
    ("text", "device", "devices"),
    [("device = 3", 3, ()), ("devices = [1, 0]", 1, (1, 0)), ("device = 1\ndevices = [2, 1]", 1, (2, 1)), ("", 0, ())],
)
def test_one_gpu_or_several_are_named(tmp_path: Path, text: str, device: int, devices: tuple[int, ...]) -> None:
    gpu = load.load(written(tmp_path, f"[gpu]\n{text}")).gpu

    assert (gpu.device, gpu.devices) == (device, devices)


def test_shipped_configs_are_valid() -> None:
    for path in sorted((REPOSITORY / "configs").glob("*.toml")):
        assert load.load(path).cameras, path


def test_default_config_is_the_defaults_so_that_replay_and_run_agree() -> None:
    config = load.load(REPOSITORY / "configs" / "default.toml")

    assert config == configuration.with_preset(configuration.Config(cameras=config.cameras))
    assert config.cameras == (configuration.CameraConfig(name="camera0", source="0"),)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("0", "camera0"),
        ("videos/my clip.mp4", "my-clip"),
        ("rtsp://user:secret@door.example:554/s1", "door-example"),
        ("photos/*", "photos"),
        ("demo", "demo"),
        ("…", "camera"),
    ],
)
def test_camera_gets_a_name_from_its_source(source: str, name: str) -> None:
    assert load.camera_name(source) == name


def test_two_sources_of_one_name_get_numbers() -> None:
    cameras = load.cameras_for(["a/clip.mp4", "b/clip.mp4"], configuration.Config())

    assert [camera.name for camera in cameras] == ["clip", "clip-2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[cameras]]\nname = "Haustür"\nsource = "demo"',
            r"cameras\[0\]\.name: .*got 'Haustür'; write up to 40 letters",
        ),
        (
            '[[cameras]]\nname = "front door"\nsource = "demo"',
            r"write up to 40 letters from a to z, digits, _ and -",
        ),
        (
            'publish.endpoint = "127.0.0.1:5570"',
            r"publish\.endpoint: .*got '127\.0\.0\.1:5570'; write tcp://HOST:PORT, such as",
        ),
        ('metrics.endpoint = "5571"', r"metrics\.endpoint: .*; write http://HOST:PORT, such as"),
        ('cameras = "demo"', r"cameras: expected a list, such as \[\[cameras\]\] before each camera"),
        ('[cameras]\nname = "a"', r"cameras: expected a list, such as \[\[cameras\]\] before each camera"),
        ("recognize.faces = faces", r"not TOML: Invalid value \(at line 1, column 19\); write text in quotes"),
    ],
)
def test_slip_names_its_remedy(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load.build(load.parse_toml(text.encode(), "c.toml"), where="c.toml")
