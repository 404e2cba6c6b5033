"""The demo's film: its size and rate, the portraits it is made of, and its one known person.

Rear Admiral Grace Hopper (U.S. Navy) from the matplotlib wheel, Eileen Collins (NASA) from the scikit-image wheel.
Draws nothing (`demo` does), so that a program that only needs these facts doesn't load OpenCV.
"""

import importlib.util
from pathlib import Path

from jetstream import files
from jetstream.errors import SourceError

WIDTH, HEIGHT = 1280, 720
FPS = 25
FRAMES = 20 * FPS
PERIOD_S = FRAMES / FPS
DESCRIBED = f"demo ({WIDTH}x{HEIGHT}, {FPS} fps, {FRAMES} frames)"
ENROLLED = "Eileen Collins"


def portrait_path(package: str, *parts: str) -> Path:
    """A file in an installed package, found without importing it. Raises SourceError if it is missing."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root, *parts)
        if path.is_file():
            return path
    wheel = {"skimage": "scikit-image"}.get(package, package)
    raise SourceError(f"demo: no {parts[-1]} here, it comes with {wheel}; `pip install {wheel}`")


def collins_path() -> Path:
    return portrait_path("skimage", "data", "astronaut.png")


def hopper_path() -> Path:
    return portrait_path("matplotlib", "mpl-data", "sample_data", "grace_hopper.jpg")


def check() -> None:
    """Raises SourceError if a portrait's wheel isn't installed."""
    collins_path(), hopper_path()


def write_faces(folder: str | Path) -> None:
    """Enrol the demo's known person: her photo as <folder>/Eileen Collins/astronaut.png. Grace Hopper stays unknown.

    Raises SourceError without scikit-image, OSError if `folder` can't be written.
    """
    person = Path(folder) / ENROLLED
    person.mkdir(parents=True, exist_ok=True)
    photo, content = person / "astronaut.png", collins_path().read_bytes()
    if not photo.exists() or photo.read_bytes() != content:  # an existing photo may be read-only
        files.replace(photo, content)  # not through a link
