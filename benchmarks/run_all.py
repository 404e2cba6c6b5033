"""Every benchmark in turn, those with a peer's own environment without it: `make bench`."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    failed = []
    for path in sorted(FOLDER.glob("bench_*.py")):
        print(f"\n## {path.stem}\n", flush=True)
        seconds = ["--seconds", "60"] if path.stem == "bench_memory" else []
        if subprocess.run([sys.executable, "-m", f"benchmarks.{path.stem}", *seconds], cwd=FOLDER.parent).returncode:
            failed.append(path.stem)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
