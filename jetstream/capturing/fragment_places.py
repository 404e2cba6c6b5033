"""Where the newest seconds of each camera are kept for clips: below one folder of shared memory for each run directory.

That folder outlives a process that is killed, and the run: another one on the same run directory goes on with it.
"""

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jetstream.capturing.fragment_writer import FragmentWriter
from jetstream.config.schema import CameraConfig, Config, run_dir
from jetstream.errors import UserError
from jetstream.ipc.segment import SHARED_MEMORY
from jetstream.runtime.switches import CameraSwitches
from jetstream.video.gop.fragment_folder import FragmentFolder, is_claimed

LATE_S: Final = 20.0
"""how much longer the newest seconds are kept than clips need them: `clips` may be started again meanwhile"""

log = logging.getLogger(__name__)


def root_of(config: Config) -> Path:
    """The folder of this run directory."""
    place = hashlib.sha256(os.fsencode(run_dir(config))).hexdigest()[:16]
    return SHARED_MEMORY / f"jetstream-fragments-{os.getuid()}-{place}"


def copied_of(camera: str, config: Config) -> Path:
    """The folder of what a camera sends."""
    return root_of(config) / f"{camera}.copied"


def encoded_of(camera: str, config: Config) -> Path:
    """The folder of what is encoded of a camera's pictures: another one for each `render.blur`, so that no clip begins
    with what another run blurred less."""
    blur = config.render.blur
    return root_of(config) / f"{camera}.{'encoded' if blur == 'none' else f'blurred-{blur}'}"


def folders_of(camera: str, config: Config) -> tuple[Path, ...]:
    """Where clips of a camera come from, the best first. What a camera sends is never blurred."""
    if config.render.blur != "none":
        return (encoded_of(camera, config),)
    return copied_of(camera, config), encoded_of(camera, config)


def is_copied(camera: str, config: Config) -> bool:
    """Whether `capture` copies what the camera sends, so that it needn't be encoded. It says so before the first frame
    of a connection."""
    return config.render.blur == "none" and is_claimed(copied_of(camera, config))


def writer_to(folder: Path, camera: str, config: Config) -> FragmentWriter | None:
    """What stores a camera's fragments in a folder; None, which is logged: the folder can't be made."""
    keep_s = config.clips.pre_s + config.sightings.confirm_s + LATE_S
    try:
        opened = FragmentFolder(folder, keep_ns=round(keep_s * 1e9), most_bytes=config.clips.ring_mb * 10**6)
    except OSError as error:
        log.warning("%s: its newest seconds can't be kept for clips (%s)", camera, error.strerror)
        return None
    return FragmentWriter(camera, opened, CameraSwitches(config))


@contextlib.contextmanager
def kept(config: Config) -> Iterator[None]:
    """Where clips are wanted: the folder of this run directory, removed at the end. Raises UserError: there is too
    little shared memory."""
    if not config.clips.dir:
        yield
        return
    root = root_of(config)
    try:
        _check_room(config.cameras, config)
        root.mkdir(mode=0o700, exist_ok=True)
        if root.stat().st_uid != os.getuid():
            raise UserError(f"{root}: belongs to another user; remove it, or set another pipeline.run_dir")
        _remove_others(root, config)
    except OSError as error:
        raise UserError(f"{root}: {error.strerror}; clips keep the newest seconds of each camera there") from None
    try:
        yield
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _remove_others(root: Path, config: Config) -> None:
    """Remove what an earlier run left and this one doesn't use: of other cameras, or blurred less. Raises OSError."""
    used = {folder for camera in config.cameras for folder in folders_of(camera.name, config)}
    for folder in root.iterdir():
        if folder not in used:
            shutil.rmtree(folder, ignore_errors=True)


def _check_room(cameras: tuple[CameraConfig, ...], config: Config) -> None:
    needed, free = len(cameras) * config.clips.ring_mb * 10**6, shutil.disk_usage(SHARED_MEMORY).free
    if needed > free:
        raise UserError(
            f"clips.ring_mb: {len(cameras)} cameras may take {needed / 1e6:,.0f} MB of {SHARED_MEMORY}, which has "
            f"{free / 1e6:,.0f} MB free; lower clips.ring_mb or give it more (a container: --shm-size)"
        )
