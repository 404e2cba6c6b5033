"""What a stage's process imports before its first frame."""

import json
import subprocess
import sys

import pytest

from jetstream import pipeline

NEVER = {"matplotlib", "sklearn", "scipy", "filterpy", "skimage", "onnx", "rich", "typer"}
"""Packages that no stage which handles frames may import: each costs 0.1 to 2 s before the first frame."""
EXTENSION = "scipy.optimize._lsap"
"""one file of SciPy, without the package"""
SCRIPT = """
import json, sys
import jetstream.runtime.worker
from jetstream import pipeline
pipeline.stage_named(sys.argv[1]).load()
print(json.dumps(sorted(sys.modules)))
"""

TOUCHES_NO_PIXEL = ("publish", "metrics")


@pytest.mark.parametrize("stage", [stage.name for stage in pipeline.STAGES])
def test_stage_imports_no_package_that_only_training_and_pages_need(stage: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, stage], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    assert f"jetstream.stages.{stage}" in modules
    packages = {name.partition(".")[0] for name in modules if name != EXTENSION}
    assert not packages & NEVER
    assert ("numpy" in packages) == (stage not in TOUCHES_NO_PIXEL)
