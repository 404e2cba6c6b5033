"""What `jetstream enroll` left, and what it says."""

from pathlib import Path

from jetstream.video.demo import scene
from tests.support.defaults import video_sink
from tests.support.inside import Inside


def photos_in(jetstream: Inside) -> list[str]:
    folder = jetstream.folder / "faces"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def named(jetstream: Inside, picture: str) -> str:
    """What `identify` says of a picture."""
    return jetstream("identify", picture, sets=True).stdout.partition(": ")[2]


def film(path: Path, seconds: int) -> str:
    """The beginning of the demo as a video file, with about as many frames as are looked at."""
    sink = video_sink(path, fps=6, width=1280, height=720)
    for index in range(6 * seconds):
        sink.write(scene(round(index * 25 / 6)), index / 6)
    sink.close()
    return path.name


def refused(jetstream: Inside, *words: str, code: int = 2) -> str:
    """What `enroll` says when it must refuse; nothing may change."""
    before = photos_in(jetstream) if (jetstream.folder / "faces").exists() else None
    result = jetstream("enroll", *words, sets=True)
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert before == (photos_in(jetstream) if (jetstream.folder / "faces").exists() else None)
    return result.stderr
