"""Runs other implementations in their own Python: they read pictures from a file and answer with JSON."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.inputs import REPOSITORY, Options
from jetstream.vision.detection.detections import Picture

TIMEOUT_S = 150


def facenet(options: Options, images: Sequence[Picture]) -> dict[int, list[float]]:
    """Milliseconds of each call, by the size of the batch; nothing where it can't run, which is said."""
    answer = ask(options, "peer_facenet_gpu.py", np.stack(images)[..., ::-1])
    return {} if answer is None else {int(batch): times for batch, times in answer["ms"].items()}


def ask(options: Options, script: str, array: np.ndarray[Any, Any], *words: str) -> Any:
    """What the script says of the array. None, with a line of why, where it can't."""
    environment = _clean(dict(os.environ))
    python = shutil.which(options.peer_python, path=environment["PATH"]) if options.peer_python else None
    if python is None:
        print(f"\n({script}: no peer: give --peer-python, a Python that has its packages)\n", flush=True)
        return None
    if options.peer_path:
        environment["PYTHONPATH"] = str(options.peer_path.resolve())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "input.npy"
        np.save(file, np.ascontiguousarray(array))
        command = [python, str(REPOSITORY / "benchmarks" / script), str(file), *words]
        try:
            done = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"\n({script}: no answer in {TIMEOUT_S} s)\n", flush=True)
            return None
    if done.returncode:
        print(f"\n({script}: {(done.stderr.strip().splitlines() or ['failed'])[-1]})\n", flush=True)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def _clean(environment: dict[str, str]) -> dict[str, str]:
    """Without what belongs to this Python, where that is a relocated one with a PYTHONHOME."""
    home = environment.pop("PYTHONHOME", "")
    environment.pop("PYTHONPATH", None)
    ours = str(Path(home).resolve().parent) if home else ""
    for name in ("PATH", "LD_LIBRARY_PATH"):
        parts = [part for part in environment.get(name, "").split(":") if part]
        environment[name] = ":".join(
            part for part in parts if not (ours and str(Path(part).resolve()).startswith(ours))
        )
    return environment
