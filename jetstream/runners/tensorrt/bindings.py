"""TensorRT's module: `tensorrt` (8.5 to 11), or TensorRT for RTX under its own names.

The only place that imports it. Knows no network.
"""

import functools
import importlib
import importlib.util
import os
import sys
from typing import Any

from jetstream.runners.base import UnavailableError

MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
ERROR, WARNING = 1, 2  # severities; 0 is an internal error


def is_installed() -> bool:
    """Whether there is a module to import; `load` finds out whether it works."""
    return any(importlib.util.find_spec(name) for name in MODULES)


@functools.cache
def load() -> Any:
    """The module. Raises UnavailableError where there is none, or its libraries can't be loaded."""
    reasons = []
    for name in MODULES:
        if importlib.util.find_spec(name) is None:
            continue
        before = sys.getdlopenflags()
        # its plugin library links every symbol of cuDNN and cuBLAS, which jetstream doesn't call
        sys.setdlopenflags(os.RTLD_LAZY)
        try:
            return importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            reasons.append(f"{name} can't be imported ({str(error).splitlines()[0]})")
        finally:
            sys.setdlopenflags(before)
    raise UnavailableError("; ".join(reasons) or "TensorRT isn't installed")


def version() -> str:
    """Such as "tensorrt 8.5.3.1". Engines of one version are of no use to another. Raises UnavailableError."""
    module = load()
    return f"{module.__name__} {module.__version__}"


def logger() -> Any:
    """A logger for TensorRT that prints nothing and keeps the first error, or else the last warning, as `reason`."""
    base = load().ILogger

    class TensorRTLog(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            base.__init__(self)
            self.reason = "it gave no reason"
            self._worst = WARNING

        def log(self, severity: Any, message: str) -> None:
            """Keeps the first error, since those after it follow from it, or else the last warning."""
            if int(severity) <= self._worst:
                self.reason = " ".join(message.split())
                self._worst = -1 if int(severity) <= ERROR else WARNING

    return TensorRTLog()
