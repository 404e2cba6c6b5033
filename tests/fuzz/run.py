"""`make fuzz`: a million random inputs for every decoder, and a million messages of garbage into a real inbox.

Prints a line a decoder and ends with 1 if any crashed or grew. `python -m tests.fuzz.run [COUNT [SEED [NAME...]]]`.
"""

import concurrent.futures
import gc
import itertools
import multiprocessing
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import sockets
from tests.fuzz.decoders import all_decoders
from tests.fuzz.mutate import mutated

MOST_GROWTH_MB = 16.0
"""after the first tenth: a leak of 18 bytes an input is more. Python keeps words that numpy's parser meets, 8 MB"""


class Outcome(NamedTuple):
    name: str
    taken: int
    refused: int
    crashes: tuple[str, ...]
    seconds: float
    grown_mb: float

    @property
    def is_good(self) -> bool:
        return not self.crashes and self.grown_mb < MOST_GROWTH_MB

    def __str__(self) -> str:
        said = "ok" if self.is_good else "; ".join(self.crashes) or "GREW"
        counts = f"{self.taken + self.refused:>9,} {self.taken:>9,} {self.refused:>9,}"
        return f"{self.name:<28} {counts} {self.seconds:>7.1f} {self.grown_mb:>7.1f}  {said}"


def fuzz(index: int, count: int, seed: int) -> Outcome:
    """One decoder, by its place in the list."""
    warnings.simplefilter("ignore")  # numpy's, of numbers that overflow
    # in memory: a disk takes half a millisecond to write a small file anew
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, all_decoders(Path(folder)) as decoders:
        decoder = decoders[index]
        taken, crashes, begun_s, early_mb = 0, [], time.monotonic(), rss_mb()
        for done, data in enumerate(itertools.islice(mutated(decoder.seeds, seed), count)):
            if done == count // 10:
                gc.collect()
                early_mb = rss_mb()
            try:
                taken += decoder.takes(data)
            except Exception as error:
                if len(crashes) < 3:
                    crashes.append(f"{type(error).__name__}: {error} for {data[:80]!r}")
        gc.collect()
        seconds = time.monotonic() - begun_s
        return Outcome(decoder.name, taken, count - taken, tuple(crashes), seconds, rss_mb() - early_mb)


def flood(count: int, seed: int) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        begun_s = time.monotonic()
        flooded = sockets.flood_inbox(Path(folder), count, seed)
        crashes = () if flooded.good == flooded.sent_good else (f"{flooded.sent_good - flooded.good} good ones lost",)
        seconds = time.monotonic() - begun_s
        return Outcome(
            "inbox, through its socket", count - flooded.garbled, flooded.garbled, crashes, seconds, flooded.grown_mb
        )


def rss_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def main(count: int = 1_000_000, seed: int = 1, *only: str) -> int:
    with tempfile.TemporaryDirectory() as folder, all_decoders(Path(folder)) as decoders:
        names = [decoder.name for decoder in decoders]
    print(f"seed {seed}\n{'decoder':<28} {'inputs':>9} {'taken':>9} {'refused':>9} {'s':>7} {'grew MB':>7}", flush=True)
    context = multiprocessing.get_context("spawn")
    # a process each, so that one's memory isn't taken for another's
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool:
        jobs = [pool.submit(fuzz, i, count, seed) for i, name in enumerate(names) if not only or name in only]
        jobs += [] if only else [pool.submit(flood, count, seed)]
        outcomes = []
        for job in jobs:
            outcomes.append(job.result())
            print(outcomes[-1], flush=True)
    total = sum(outcome.taken + outcome.refused for outcome in outcomes)
    bad = [outcome.name for outcome in outcomes if not outcome.is_good]
    print(f"{total:,} inputs; {'crashed or grew: ' + ', '.join(bad) if bad else 'no crash, no growth'}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:]))
