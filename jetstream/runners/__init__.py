"""Inference backends behind one contract, `base.Runner`.

Knows no picture, no stage and no process.
"""

from jetstream.runners.base import Runner, TensorSpec

__all__ = ["Runner", "TensorSpec"]
