"""Runs every benchmark in turn (`make bench`), without the comparisons that need another environment.

Skips a benchmark whose test data or package is missing, and says so.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
FOLDER = Path(__file__).resolve().parent
DATA = Path(os.environ.get("JETSTREAM_DATA", FOLDER.parent.parent / "shared" / "data"))
WITHOUT_DATA = (
    "bench_capture",
    "bench_detection",
    "bench_embedding",
    "bench_engines",
    "bench_gpu",
    "bench_mqtt",
    "bench_page_flood",
    "bench_people",
    "bench_ring",
    "bench_sightings_store",
    "bench_startup",
    "bench_track",
)
OPTIONS = {
    "bench_gpu": [os.environ.get("JETSTREAM_GPU_DATA", ""), str(FOLDER.parent / "models" / "engines")],
    "bench_memory": ["--seconds", "60"],
    "bench_sightings_store": ["--sightings", "100000"],
    "bench_naming": ["--data", str(DATA)],
    "bench_mot": [str(DATA / "mot15")],
}


def why_not(name: str) -> str | None:
    """Why a benchmark can't run here; None where it can."""
    if name not in WITHOUT_DATA and not DATA.is_dir():
        return f"needs the test data in {DATA} (set JETSTREAM_DATA)"
    if name == "bench_mot" and importlib.util.find_spec("trackeval") is None:
        return "needs `pip install --no-deps trackeval tabulate`"
    if name in ("bench_gpu", "bench_engines") and not has_gpu():
        return "needs an NVIDIA GPU with TensorRT (`jetstream doctor` says what is missing)"
    if name == "bench_gpu" and "JETSTREAM_GPU_DATA" not in os.environ:
        return "needs JETSTREAM_GPU_DATA, a folder of frames (f*.jpg) and photos (p*.jpg), and built engines"
    if name == "bench_mqtt" and MOSQUITTO is None:
        return "needs the program mosquitto"
    if name == "bench_peer_names":
        return "needs --peer-python, an environment that holds face_recognition"
    return None


def has_gpu() -> bool:
    words = (
        "from jetstream.config.schema import GpuConfig\n"
        "from jetstream.networks.backends import choose\n"
        "print(choose(GpuConfig()).best)"
    )
    done = subprocess.run([sys.executable, "-c", words], cwd=FOLDER.parent, capture_output=True, text=True)
    return done.stdout.strip() == "tensorrt"


def main() -> None:
    failed = []
    for path in sorted(FOLDER.glob("bench_*.py")):
        print(f"\n## {path.stem}\n", flush=True)
        if reason := why_not(path.stem):
            print(f"left out: {reason}", flush=True)
            continue
        words = [sys.executable, "-m", f"benchmarks.{path.stem}", *OPTIONS.get(path.stem, [])]
        if subprocess.run(words, cwd=FOLDER.parent).returncode:
            failed.append(path.stem)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
