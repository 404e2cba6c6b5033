"""A run directory that another process holds, as a pipeline in another working folder does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.repository import REPOSITORY

HOLD = """
import json, sys
from pathlib import Path
from jetstream.config.load import build
from jetstream.runtime.run_dir import claim
with claim(Path("run")) as folder:
    folder.write(build(json.loads(sys.argv[1]), where="test"), {})
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def run_dir_held(folder: Path, tables: Mapping[str, Any]) -> Iterator[Path]:
    """`run` in `folder`, which is the process's working folder, with a config of these tables."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, json.dumps(tables)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield folder / "run"
        finally:
            process.communicate()
