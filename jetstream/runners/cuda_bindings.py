"""Which Python package calls the CUDA driver: PyCUDA or NVIDIA's cuda-core. Knows no context.

PyCUDA has no wheels: pip compiles it, which needs nvcc and the CUDA headers. cuda-core, with cuda-bindings below it,
has wheels for every platform. Neither is imported before it is used.
"""

import contextlib
import importlib
import importlib.util
from collections.abc import Sequence
from typing import Literal, NamedTuple

from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError

Bindings = Literal["pycuda", "cuda-core"]
WantedBindings = Literal["auto", "pycuda", "cuda-core"]
ORDER: tuple[Bindings, ...] = ("pycuda", "cuda-core")
NAMES: dict[Bindings, str] = {"pycuda": "PyCUDA", "cuda-core": "cuda-core"}
# a wheel of cuda-core comes without cuda-bindings
_PACKAGES: dict[Bindings, tuple[str, ...]] = {"pycuda": ("pycuda",), "cuda-core": ("cuda.bindings", "cuda.core")}
_MODULES: dict[Bindings, tuple[str, ...]] = {
    "pycuda": ("pycuda.driver",),
    "cuda-core": ("cuda.bindings.driver", "cuda.core"),
}


class BindingsChoice(NamedTuple):
    """The bindings in use, and why, as a clause."""

    bindings: Bindings
    why: str


def candidates(wanted: WantedBindings) -> Sequence[Bindings]:
    """What `gpu.bindings` allows, best first."""
    return ORDER if wanted == "auto" else (wanted,)


def is_installed(bindings: Bindings) -> bool:
    """Whether there is a package to import; `choose` finds out whether it works."""
    return all(map(_is_there, _PACKAGES[bindings]))


def require_installed(wanted: WantedBindings) -> None:
    """Raises UnavailableError where none of the candidates is installed."""
    if not any(map(is_installed, candidates(wanted))):
        raise UnavailableError(_none_installed(wanted))


def choose(wanted: WantedBindings) -> BindingsChoice:
    """The first candidate that can be imported, which this does. Raises UnavailableError where none can."""
    return chosen(wanted, {bindings: missing(bindings) for bindings in candidates(wanted)})


def chosen(wanted: WantedBindings, missing: dict[Bindings, str]) -> BindingsChoice:
    """The first candidate that lacks nothing; `missing` says what each lacks, or "". Raises UnavailableError."""
    for bindings in candidates(wanted):
        if not missing[bindings]:
            return BindingsChoice(bindings, _why(wanted, bindings, missing))
    if all(missing[bindings] == _not_installed(bindings) for bindings in candidates(wanted)):
        raise UnavailableError(_none_installed(wanted))
    raise UnavailableError("; ".join(missing[bindings] for bindings in candidates(wanted)))


def missing(bindings: Bindings) -> str:
    """Why it can't be imported, as a clause, or "" where it can: then it is."""
    if not is_installed(bindings):
        return _not_installed(bindings)
    try:
        for module in _MODULES[bindings]:
            importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        return f"{NAMES[bindings]} can't be imported ({' '.join(str(error).split())})"
    return ""


def version(bindings: Bindings) -> str:
    """Such as "2026.1", or "1.2.2 with cuda-bindings 13.4.4", of bindings that can be imported."""
    if bindings == "pycuda":
        return str(importlib.import_module("pycuda").VERSION_TEXT)
    core, below = (importlib.import_module(module).__version__ for module in ("cuda.core", "cuda.bindings"))
    return f"{core} with cuda-bindings {below}"


def too_new(cuda_core: str) -> str:
    """What to do where `version` of cuda-core is for a newer CUDA than the driver runs, from "; " on; else ""."""
    with contextlib.suppress(UnavailableError):
        newest = cuda_driver.cuda_version()
        major = newest.partition(".")[0]
        if int(cuda_core.rpartition(" ")[2].partition(".")[0]) > int(major):
            return f"; the driver runs CUDA up to {newest}: pip install 'cuda-bindings=={major}.*'"
    return ""


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:  # the package that holds it is missing
        return False


def _not_installed(bindings: Bindings) -> str:
    return f"{NAMES[bindings]} isn't installed"


def _none_installed(wanted: WantedBindings) -> str:
    return "neither PyCUDA nor cuda-core is installed" if wanted == "auto" else _not_installed(wanted)


def _why(wanted: WantedBindings, bindings: Bindings, missing: dict[Bindings, str]) -> str:
    if wanted != "auto":
        return f'set by gpu.bindings = "{wanted}"'
    before = ORDER[: ORDER.index(bindings)]
    return "auto: " + ("; ".join(missing[one] for one in before) or "the first that works")
