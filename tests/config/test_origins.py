"""Where each key of a config came from."""

from pathlib import Path

from jetstream.cli.shared import origins_of, overrides_of, settings_of
from jetstream.config.merging import origins

DATA = {
    "cameras": [{"name": "door", "source": "rtsp://${PASSWORD}@a/1"}, {"name": "hall", "source": "demo"}],
    "detect": {"min_face_px": 60, "factor": 0.8},
    "record": {"dir": "${HOME}/films"},
}


def test_file_options_and_variables_are_told_apart() -> None:
    sets = ["detect.min_face_px=70", "cameras.hall.fps=5", "cameras.0.loop=true", "track.hold_s=0.2"]

    assert origins(DATA, sets, {"render": {"window": False}}) == {
        **{"cameras.door.name": "file", "cameras.door.source": "file, ${PASSWORD}", "cameras.door.loop": "--set"},
        **{"cameras.hall.name": "file", "cameras.hall.source": "file", "cameras.hall.fps": "--set"},
        **{"detect.min_face_px": "--set", "detect.factor": "file", "record.dir": "file, ${HOME}"},
        **{"track.hold_s": "--set", "render.window": "command line"},
    }


def test_what_nobody_set_has_no_origin() -> None:
    assert origins({}, (), None) == {}
    assert origins({"detect": {}}, (), {}) == {}


def test_cameras_of_the_command_line_take_their_other_keys_from_the_first_one(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[[cameras]]\nname = "door"\nsource = "demo"\nfps = 5\n[track]\nhold_s = 0.2\n')
    settings = settings_of(file, sets=None, sources=["a/clip.mp4"])

    told = origins_of(file, settings, sets=None, sources=["a/clip.mp4"], overrides=overrides_of(None, None, None, True))

    assert told == {
        **{"track.hold_s": "file", "render.window": "command line", "cameras.clip.fps": "file"},
        **{"cameras.clip.name": "command line", "cameras.clip.source": "command line"},
    }
