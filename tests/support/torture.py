"""Readers against one writer that never waits and is killed again and again, in processes of their own."""

import argparse
import json
import multiprocessing as mp
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Protocol


class Written(Protocol):
    """The ring, by its creator."""

    @property
    def cursor(self) -> int: ...


def run_torture(
    ring: Written,
    name: str,
    write: Callable[[str], None],
    read: Callable[..., None],
    readers: int,
    seconds: float,
    kills: int,
) -> Counter[str]:
    """Counts over all readers; what was `written` beside them. `write(name)` never returns; `read(name, seconds, seed,
    start, counts)` puts its counts."""
    spawn = mp.get_context("spawn")
    counts: Queue[Counter[str]] = spawn.Queue()
    writer = _started(spawn.Process(target=write, args=(name,)))
    start = spawn.Barrier(readers + 1)
    reading = [
        _started(spawn.Process(target=read, args=(name, seconds, seed, start, counts))) for seed in range(readers)
    ]
    while ring.cursor == 0 and writer.is_alive():
        time.sleep(0.01)
    start.wait(timeout=60)
    total = Counter[str]()
    for _ in range(kills):
        time.sleep(seconds / (kills + 1))
        writer.kill()
        writer.join()
        writer = _started(spawn.Process(target=write, args=(name,)))
    for _ in reading:
        total += counts.get(timeout=seconds + 60)
    writer.kill()
    for process in (writer, *reading):
        process.join()
    total["written"] = ring.cursor
    return total


def _started(process: BaseProcess) -> BaseProcess:
    process.daemon = True
    process.start()
    return process


def main(about: str | None, run: Callable[[float, int], Counter[str]], shown: Sequence[str]) -> None:
    """Run it from the command line: prints the counts `shown`, and exits with 1 where something was torn."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=20, help="how often the writer is killed and replaced")
    options = parser.parse_args()
    result = run(options.seconds, options.kills)
    print(json.dumps({key: result[key] for key in shown}))
    sys.exit(1 if result["torn"] else 0)
