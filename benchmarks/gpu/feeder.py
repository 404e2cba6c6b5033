"""Replaces the capture of some cameras: writes real frames from memory into their rings, at a rate or at full speed.

As a capture does, it leaves out frames for which the pipeline has no place.

    python -m benchmarks.gpu.feeder '{"run_dir": ..., ...}'     a Task, as JSON

Prints the number of frames sent, and the number that its socket refused, as one line of JSON.
"""

import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from jetstream.child_process import die_with_parent
from jetstream.config.schema import PipelineConfig
from jetstream.ipc.bus import Outbox, Reader
from jetstream.ipc.rings import Rings
from jetstream.ipc.window import FrameWindow
from jetstream.messages import Captured, FrameRef
from jetstream.picture_format import Nv12Picture, PictureFormat
from jetstream.runtime.run_dir import RunDir

HELD = 15  # times that a picture comes in a row: a scene is half a second long at 30 frames a second


class Task(msgspec.Struct):
    run_dir: str
    frames: str  # .npy, (N, 3 H / 2, W) uint8: Y of each, then Cb and Cr
    cameras: tuple[str, ...]
    rate: float  # frames a second and camera; 0: as fast as they go
    begin_s: float  # of CLOCK_MONOTONIC
    end_s: float


class Fed(msgspec.Struct):
    frames: int  # offered
    full: int
    busy: int  # left out


def main() -> None:
    die_with_parent()
    print(msgspec.json.encode(feed(msgspec.json.decode(sys.argv[1].encode(), type=Task))).decode())


def feed(task: Task) -> Fed:
    loaded = np.load(task.frames, mmap_mode="r")
    loaded.max()  # all of it into memory, which the feeders share
    height = loaded.shape[1] * 2 // 3
    images = [
        Nv12Picture(one[:height], one[height:].reshape(height // 2, -1, 2), PictureFormat.NV12_709) for one in loaded
    ]
    names = RunDir(Path(task.run_dir)).read_rings()
    outbox = Outbox(Path(task.run_dir), {Captured: [Reader("detect", lossless=False, ends=True)]})
    windows = {camera: FrameWindow(PipelineConfig().queue_frames) for camera in task.cameras}
    left_out: Counter[str] = Counter()
    fed = busy = 0
    with Rings.attach_all({camera: names[camera] for camera in task.cameras}) as rings:
        time.sleep(max(0.0, task.begin_s - time.monotonic()))
        while True:
            turn, place = divmod(fed, len(task.cameras))
            due_s = task.begin_s
            if task.rate:  # cameras are spread over the time of a frame
                due_s += (turn + place / len(task.cameras)) / task.rate
            now_s = time.monotonic()
            if max(due_s, now_s) >= task.end_s:
                break
            if due_s > now_s:
                time.sleep(due_s - now_s)
            camera = task.cameras[place]
            ring, window = rings[camera], windows[camera]
            fed += 1
            if not window.has_room(ring.slowest, time.monotonic()):
                left_out[camera] += 1
                busy += 1
                if not task.rate:
                    time.sleep(0.0005)
                continue
            image = images[(turn // HELD + place) % len(images)]
            captured_ns = time.monotonic_ns()
            frame_id = ring.write(image, left_out=left_out.pop(camera, 0))
            window.wrote(frame_id, time.monotonic())
            pts_s = captured_ns * 1e-9 - task.begin_s
            frame = FrameRef(camera, frame_id, captured_ns, time.time_ns(), pts_s, live=True)
            outbox.send(Captured(frame=frame))
    full = outbox.full_at.total()
    outbox.close()
    return Fed(fed, full, busy)


if __name__ == "__main__":
    main()
