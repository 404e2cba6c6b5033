"""What the tests of faults share: a pipeline to hurt, an ear on its topic, and a look at what is left behind."""

import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import av
import msgpack
import zmq

from jetstream.messages import Status
from jetstream.monitoring.status import statuses
from tests.support.command import Command, children_of, segments_of
from tests.support.statuses import pids_in
from tests.support.waiting import PATIENCE_S, wait_until

Tell = Callable[..., None]
"""tell(fault, sees, recovered_s or None, lost): a row of the table that `make faults` prints"""


@dataclass(frozen=True)
class Faulty(Command):
    """`Command` with more in its environment."""

    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        plain = super().environment
        path = ":".join(filter(None, (self.extra.get("PYTHONPATH"), plain["PYTHONPATH"])))
        return {**plain, **self.extra, "PYTHONPATH": path}

    def status(self) -> Status:
        return next(statuses(self.run_dir))

    def pid_of(self, name: str) -> int:
        return pids_in(self.status())[name]

    def restarts(self) -> dict[str, int]:
        """Of processes that were started again."""
        return {p.process: p.restarts for p in self.status().processes if p.restarts}


class Ear:
    """Hears the topic, from a thread: when which frame of which camera came. A context manager."""

    def __init__(self, jetstream: Command) -> None:
        self._endpoint = jetstream.endpoint
        self.heard: list[tuple[float, dict]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def frames(self, since_s: float = 0.0, camera: str = "") -> list[tuple[float, int]]:
        """(time.monotonic() of its arrival, frame number), of one camera or of all"""
        return [
            (at_s, body["frame_id"]) for at_s, body in self.heard if at_s >= since_s and camera in ("", body["camera"])
        ]

    def longest_silence_s(self, since_s: float, camera: str = "") -> float:
        """Between two frames that came one after the other, from `since_s` until now."""
        times = [since_s, *(at_s for at_s, _ in self.frames(since_s, camera)), time.monotonic()]
        return max(b - a for a, b in itertools.pairwise(times))

    def wait_for_frames(self, count: int, since_s: float, timeout_s: float = PATIENCE_S) -> float:
        """Until so many came after `since_s`; how long the first of them took."""
        wait_until(lambda: len(self.frames(since_s)) >= count, timeout_s, lambda: f"{len(self.heard)} frames heard")
        return self.frames(since_s)[0][0] - since_s

    def __enter__(self) -> "Ear":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.RECONNECT_IVL_MAX, 200)
            socket.connect(self._endpoint)
            socket.subscribe(b"detections.")
            while not self._stop.is_set():
                if socket.poll(50):
                    self.heard.append((time.monotonic(), msgpack.unpackb(socket.recv_multipart()[1])))


def left_behind(jetstream: Command, pid: int) -> list[str]:
    """Processes, shared memory and files that a run whose supervisor was `pid` should have taken with it."""
    found = [f"process {child}" for child in children_of(pid)]
    found += [f"segment {name}" for name in segments_of(pid)]
    if jetstream.run_dir.exists():
        found += [f"file {path.name}" for path in jetstream.run_dir.iterdir() if path.name != "lock"]
    return found


def zombies_of(pid: int) -> list[int]:
    """Children of the running process `pid` that it has not waited for."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state == "Z" and int(parent) == pid:
            found.append(int(entry.name))
    return found


def played(folder: Path) -> int:
    """Pictures in all recordings of `folder`, each read to its end by FFmpeg; their events are whole lines."""
    pictures = 0
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            json.loads(line)
    for path in sorted(folder.glob("*.mp4")):
        if path.stat().st_size > 2000:  # nothing but a header where the first second wasn't over
            with av.open(str(path)) as container:
                pictures += sum(1 for _ in container.decode(video=0))
    return pictures


def stop(process: "subprocess.Popen[str]") -> int:
    process.terminate()
    return process.wait(PATIENCE_S)


def is_root() -> bool:
    return os.getuid() == 0
