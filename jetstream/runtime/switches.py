"""What is switched by hand during a run, for each camera: recording off, all faces hidden.

One file in the run directory: the sidecar `mqtt` writes it, and who records or shows a camera looks at it. A new run
begins as the config says. Nothing here shows more than the config does.
"""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from jetstream import files
from jetstream.config.schema import Config, run_dir
from jetstream.errors import GARBLED
from jetstream.runtime.run_dir import SWITCHES

LOOK_EVERY_S: Final = 0.25
"""time between two looks at the file, which cost some microseconds"""
Blur: TypeAlias = Literal["none", "unknown", "all"]


class CameraSwitch(msgspec.Struct, frozen=True):
    """What is switched for one camera."""

    record: bool = True
    """False: it isn't recorded"""
    blur: bool = False
    """True: all faces are hidden"""


AS_CONFIGURED: Final = CameraSwitch()


class CameraSwitches:
    """The switches of all cameras, as they are now; as configured where mqtt.commands is false."""

    def __init__(self, config: Config) -> None:
        self._path = run_dir(config) / SWITCHES if config.mqtt.commands else None
        self._switches: Mapping[str, CameraSwitch] = {}
        self._file: tuple[int, int] | None = None
        self._looked_s = -LOOK_EVERY_S

    def of(self, camera: str) -> CameraSwitch:
        """Of one camera."""
        if self._path is not None and time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            file = _version(self._path)
            if file != self._file:
                self._file, self._switches = file, read(self._path)
        return self._switches.get(camera, AS_CONFIGURED)

    def blur(self, camera: str, configured: Blur) -> Blur:
        """Whose faces of a camera are hidden; `configured`: render.blur."""
        return "all" if self.of(camera).blur else configured


def _version(path: Path) -> tuple[int, int] | None:
    """Each change is another file; None: nothing was switched."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def read(path: Path) -> dict[str, CameraSwitch]:
    """Empty where nothing was switched."""
    with contextlib.suppress(OSError, *GARBLED):
        return msgspec.json.decode(path.read_bytes(), type=dict[str, CameraSwitch])
    return {}


def write(path: Path, switches: Mapping[str, CameraSwitch]) -> None:
    """Replace the file in one step. Raises OSError."""
    files.replace(path, msgspec.json.encode(dict(switches)), mode=0o600)
