"""Memory of every process of a live pipeline over time: it must not grow.

    python -m benchmarks.bench_memory [--seconds 600] [--source FILE]... [--faces DIR]

The sources loop at the highest rate that the machine can process (several at once saturate it). Prints the resident
memory of each process after the first tenth and at the end, and what the pipeline dropped meanwhile.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from jetstream.monitoring.status import statuses
from jetstream.runtime.counters import drops_by_reason
from tests.support.command import free_port

REPOSITORY = Path(__file__).resolve().parent.parent


def resident_mb(pid: int) -> float:
    """Private resident memory: what the ring's shared pages add counts for nobody."""
    values = dict(line.split(":")[:2] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(values["RssAnon"].split()[0]) / 1024


def main() -> None:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--source", action="append")
    parser.add_argument("--faces", default=str(data / "friends_refs"))
    options = parser.parse_args()
    sources = options.source or [str(data / "video" / "friends_dev.mp4")] * 3
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        cameras = "".join(f'[[cameras]]\nname = "c{i}"\nsource = "{s}"\nloop = true\n' for i, s in enumerate(sources))
        config.write_text(
            cameras + f'[recognize]\nfaces = "{options.faces}"\n[models]\ndir = "{REPOSITORY / "models"}"\n'
        )
        run_dir = Path(folder) / "run"
        words = [sys.executable, "-m", "jetstream.cli", "run", str(config), "--headless"]
        for setting in (f"pipeline.run_dir={run_dir}", f"publish.endpoint=tcp://127.0.0.1:{free_port()}"):
            words += ["--set", setting]
        process = subprocess.Popen(words, cwd=REPOSITORY)
        while not (run_dir / "status.anyone").exists():
            if process.poll() is not None:
                sys.exit("the pipeline did not start; see above, and give --source and --faces")
            time.sleep(0.1)
        samples: dict[str, list[float]] = defaultdict(list)
        last = None
        started_s = time.monotonic()
        for status in statuses(run_dir):
            for child in status.processes:
                if child.beat:
                    samples[child.process].append(resident_mb(child.beat.pid))
            last = status
            if time.monotonic() - started_s > options.seconds:
                break
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert last is not None
    print("| process | MB after a tenth | MB at the end | frames | fps | dropped |")
    print("| --- | --- | --- | --- | --- | --- |")
    for child in last.processes:
        mb = samples[child.process]
        tenth = max(1, len(mb) // 10)
        early, late = max(mb[tenth : 2 * tenth] or mb), max(mb[-tenth:])
        assert child.beat is not None
        drops = ", ".join(
            f"{reason} {count}" for reason, count in sorted(drops_by_reason(child.beat.counts).items()) if count
        )
        print(f"| {child.process} | {early:.1f} | {late:.1f} | {child.beat.frames} | {child.beat.fps:.1f} | {drops} |")


if __name__ == "__main__":
    main()
