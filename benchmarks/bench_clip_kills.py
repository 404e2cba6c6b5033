"""How long before its sighting a clip begins, while processes are killed at random.

    python -m benchmarks.bench_clip_kills [--seconds S] [--seed N] [--decoder cpu|shared]

A film with a face for three seconds in twelve, whose frames bear their number, is played again and again. Every few
seconds capture, clips or the supervisor is killed with SIGKILL; the run is started again at once where it was the
supervisor. Each clip is decoded with FFmpeg.
"""

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from jetstream.clips import library
from jetstream.clips.library import StoredClip
from jetstream.errors import PipelineError
from jetstream.messages import Status
from jetstream.monitoring.status import statuses
from jetstream.sighting import Sighting
from jetstream.sightings import database, reader
from tests.support.numbered_films import numbered_film, shown_numbers
from tests.support.statuses import pids_in

FPS, FRAMES = 10, 120
FACE = range(60, 90)
PRE_S = 4.0
REPOSITORY = Path(__file__).parents[1]


def film(path: Path) -> Path:
    import skimage

    empty = np.full((270, 480, 3), 90, np.uint8)
    with_face = empty.copy()
    portrait = cv2.imread(str(Path(skimage.__file__).parent / "data" / "astronaut.png"))
    with_face[10:250, 120:360] = cv2.resize(portrait, (240, 240))
    pictures = [with_face if number in FACE else empty for number in range(FRAMES)]
    return numbered_film(path, [number / FPS for number in range(FRAMES)], gop=2 * FPS, pictures=pictures)


class KilledRun:
    """A run whose processes are killed."""

    def __init__(self, folder: Path, decoder: str, seed: int) -> None:
        self.folder, self._random = folder, random.Random(seed)
        self.killed: Counter[str] = Counter()
        (folder / "clips.toml").write_text(
            f'[[cameras]]\nname = "hall"\nsource = "{film(folder / "film.mp4")}"\nloop = true\ndecoder = "{decoder}"\n'
            f'[clips]\ndir = "clips"\npre_s = {PRE_S}\npost_s = 1\n[sightings]\nabsence_s = 2\nlooks = 0\n'
            f'[recognize]\nfaces = "demo"\n[models]\ndir = "{REPOSITORY / "models"}"\n'
            f'[pipeline]\nrun_dir = "{folder / "run"}"\nrestarts = 1000\n[web]\nenabled = false\n'
            "[metrics]\nenabled = false\n[publish]\nenabled = false\n"
        )

    def run(self, seconds: float) -> None:
        process, end_s = self._start(), time.monotonic() + seconds
        while time.monotonic() < end_s:
            time.sleep(self._random.uniform(2, 8))
            whom = self._random.choice(("capture.hall", "clips", "supervisor"))
            self.killed[whom] += 1
            if whom == "supervisor":
                process.kill()
                process.wait()
                time.sleep(0.5)
                process = self._start()
            elif (pid := pids_in(self._status()).get(whom)) is not None:
                os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGTERM)
        process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "jetstream.cli", "run", "clips.toml", "--headless"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        log = (self.folder / "log").open("ab")
        process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            with contextlib.suppress(PipelineError):
                self._status()
                break
            time.sleep(0.1)
        return process

    def _status(self) -> Status:
        with closing(statuses(self.folder / "run")) as heard:
            return next(heard)


def led(clip: StoredClip) -> float | None:
    """Seconds of picture without a break before the first face, by the frames' numbers; None: a kill is within."""
    shown = shown_numbers(clip.video)
    try:
        first = next(at for at, number in enumerate(shown) if number in FACE)
    except StopIteration:
        return None
    lead = shown[: first + 1]
    is_whole = all((after - before) % FRAMES == 1 for before, after in pairwise(lead))
    return first / FPS if is_whole else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--decoder", choices=("cpu", "shared"), default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = KilledRun(Path(folder), options.decoder, options.seed)
        run.run(options.seconds)
        clips = list(library.clips_in(run.folder / "clips"))
        with database.opened(run.folder / "sightings") as connection:
            sightings: list[Sighting] = reader.find(connection, reader.SightingFilter())
        log = (run.folder / "log").read_text()
        report(run, clips, sightings, log)


def report(run: KilledRun, clips: list[StoredClip], sightings: list[Sighting], log: str) -> None:
    have = {id_ for clip in clips for id_ in clip.info.sightings}
    missing = [one.id for one in sightings if one.id not in have]
    whole = [clip for clip in clips if not clip.info.short and clip.info.pre_s > 0]
    leads = [lead for clip in whole if (lead := led(clip)) is not None]
    short = [clip for clip in clips if clip.info.short]
    print(f"killed: {', '.join(f'{name} {count}' for name, count in sorted(run.killed.items()))}")
    print(f"sightings {len(sightings)}, with a clip {len(sightings) - len(missing)}")
    print(f"without one, and the log says so: {sum(id_ in log for id_ in missing)} of {len(missing)}")
    print(f"clips {len(clips)}, that decode {sum(bool(shown_numbers(clip.video)) for clip in clips)}")
    print(
        f"with the whole time before: {len(whole)}; asked {PRE_S:g} s, of {len(leads)} without a kill within: ", end=""
    )
    print(f"least {min(leads):.1f} s, median {statistics.median(leads):.1f} s" if leads else "none")
    print(f"with less, and a reason: {len(short)}")
    for clip in short:
        print(f"    {clip.info.pre_s:.1f} s: {clip.info.short}")


if __name__ == "__main__":
    main()
