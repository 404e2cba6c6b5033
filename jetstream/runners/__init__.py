"""Networks behind one contract: `base.Runner`, one module a backend.

Knows no picture, no stage and no process.
"""

from jetstream.runners.base import Runner, TensorSpec

__all__ = ["Runner", "TensorSpec"]
