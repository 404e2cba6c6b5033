"""What `supply` and the process that it starts say to each other, as JSON.

Knows no TensorRT, so that `supply` need not import any.
"""

from typing import Literal

import msgspec

from jetstream.runners.tensorrt.engine_cache import EngineRecipe

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}
"""Largest difference from ONNX Runtime's float32 answer that an engine may have, as a share of the largest value."""


class BuildJob(msgspec.Struct, frozen=True):
    """One engine: build and test it, or only test the file that is there."""

    recipe: EngineRecipe
    path: str
    device: int
    build: bool
    timing_cache: str = ""


class BuildEvent(msgspec.Struct, frozen=True):
    job: int
    state: Literal["building", "testing", "done", "failed"]
    text: str = ""  # of "failed": a clause; of "testing": the file under test
    failed_at: str = ""  # what it was at: "building" or "testing"
    is_model: bool = False  # of "failed": the network's file is at fault, and `text` a sentence
    seconds: float = 0.0  # that the build took
    error: float = 0.0  # of "done": as TOLERANCE counts it


class BindingsProbe(msgspec.Struct, frozen=True):
    """What can be imported here: a version, or why not."""

    tensorrt: str = ""
    tensorrt_missing: str = ""
    pycuda: str = ""
    pycuda_missing: str = ""
