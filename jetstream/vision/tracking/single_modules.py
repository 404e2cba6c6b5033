"""filterpy's Kalman filter and SciPy's assignment, each loaded from its own file.

Importing either package the usual way runs its `__init__`, which imports scipy.stats, scipy.linalg and scipy.sparse:
1 to 2 s of processor time before the first frame, and 60 MB, for code that the tracker never calls. The code that is
loaded here is the installed packages' own, so the results are theirs, bit for bit. Where a package has no such file, it
is imported whole.
"""

import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any


def kalman_filter() -> Any:
    """The class `filterpy.kalman.KalmanFilter`. Raises ImportError where filterpy isn't installed."""
    folder = _folder("filterpy")
    file, helpers = folder / "kalman" / "kalman_filter.py", folder / "common" / "helpers.py"
    if "filterpy" in sys.modules or not (file.is_file() and helpers.is_file()):
        from filterpy.kalman import KalmanFilter

        return KalmanFilter
    stats = ModuleType("filterpy.stats")
    stats.logpdf = _logpdf  # type: ignore[attr-defined]
    needs = {"filterpy.stats": stats, "filterpy.common": _load("filterpy.common.helpers", helpers)}
    sys.modules.update(needs)  # an import uses an entry of sys.modules before it searches for the package
    try:
        return _load("filterpy.kalman.kalman_filter", file).KalmanFilter
    finally:
        for name in needs:  # a later import of filterpy must get the whole package
            del sys.modules[name]


def linear_sum_assignment() -> Any:
    """The function `scipy.optimize.linear_sum_assignment`. Raises ImportError where SciPy isn't installed."""
    files = (_folder("scipy") / "optimize" / f"_lsap{suffix}" for suffix in EXTENSION_SUFFIXES)
    file = next((file for file in files if file.is_file()), None)
    if "scipy.optimize" in sys.modules or file is None:
        from scipy.optimize import linear_sum_assignment

        return linear_sum_assignment
    return _load("scipy.optimize._lsap", file).linear_sum_assignment


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)  # of a package at the top, this imports nothing
    if spec is None or spec.origin is None:
        raise ImportError(f"{package} is not installed")
    return Path(spec.origin).parent


def _load(name: str, file: Path) -> ModuleType:
    """The module in `file`; it doesn't stay in sys.modules."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _logpdf(*arguments: Any, **keywords: Any) -> Any:
    """filterpy.stats.logpdf, for a log likelihood, which the tracker never uses."""
    from filterpy.stats import logpdf

    return logpdf(*arguments, **keywords)
