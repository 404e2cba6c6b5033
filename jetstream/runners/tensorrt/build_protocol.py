"""The JSON messages between `build_pool` and the build processes that it starts.

Knows no TensorRT, so that their parent does not import it.
"""

from typing import Literal

import msgspec

from jetstream.runners.cuda_bindings import Bindings, WantedBindings
from jetstream.runners.tensorrt.engine_cache import EngineRecipe

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}
"""Largest difference from ONNX Runtime's float32 answer that an engine may have, as a share of the largest value."""


class BuildJob(msgspec.Struct, frozen=True):
    """One engine: build and test it, or only test the file that is there."""

    recipe: EngineRecipe
    path: str
    device: int
    build: bool
    bindings: WantedBindings = "auto"  # of CUDA
    timing_cache: str = ""


class BuildEvent(msgspec.Struct, frozen=True):
    job: int
    state: Literal["building", "testing", "done", "failed"]
    text: str = ""  # of "failed": a clause; of "testing": the file under test
    failed_at: str = ""  # the state it failed in: "building" or "testing"
    is_model: bool = False  # of "failed": the network's file is at fault, and `text` a sentence
    was_killed: bool = False  # of "failed": by somebody, or by the kernel for its memory
    seconds: float = 0.0  # that the build took
    error: float = 0.0  # of "done": largest difference, in TOLERANCE's unit

    @property
    def is_answer(self) -> bool:
        """Whether it is the job's last event."""
        return self.state in ("done", "failed")


class BindingsProbe(msgspec.Struct, frozen=True):
    """Which of the bindings can be imported: a version, or the reason why not."""

    tensorrt: str = ""
    tensorrt_missing: str = ""
    pycuda: str = ""
    pycuda_missing: str = ""
    cuda_core: str = ""
    cuda_core_missing: str = ""

    @property
    def cuda_missing(self) -> dict[Bindings, str]:
        """What each of the bindings of CUDA lacks, or ""."""
        return {"pycuda": self.pycuda_missing, "cuda-core": self.cuda_core_missing}
