"""The contract of a loaded network: named arrays in, named arrays out, checked once when it is opened.

Knows no backend, no file format and no picture.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError

Arrays: TypeAlias = dict[str, NDArray[Any]]

_REMEDY = "run `jetstream models` to rebuild it"


class UnavailableError(Exception):
    """The backend can't run on this machine, or can't run this network; the message is a clause that says why."""


class TensorSpec(NamedTuple):
    """One input or output of a network."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]  # None: any size

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({sizes}) {self.dtype}"


class Runner(Protocol):
    """A loaded network. For one thread at a time; every backend passes tests/runners/test_contract.py."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name; no later call writes to these arrays.

        Raises ValueError where feeds are not the inputs (name, dtype, shape; every size 1 or more) or the runner is
        closed.
        """
        ...

    def close(self) -> None:
        """Free the network; may be called twice."""
        ...

    def __enter__(self) -> "Runner": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def require(runner: Runner, model: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
    """Raise ModelError unless the runner takes exactly these inputs and gives at least these outputs.

    A size asked for as None must be dynamic in the network; one asked for as a number may be.
    """
    for side, wanted, found in (("input", inputs, runner.inputs), ("output", outputs, runner.outputs)):
        specs = {spec.name: spec for spec in found}
        for spec in wanted:
            if spec.name not in specs or not _fits(spec, specs[spec.name]):
                listed = "; ".join(str(one) for one in found)
                raise ModelError(
                    f"{model}: expected {side} {spec}, found {listed}; run `jetstream models` to rebuild it"
                )
    unfed = {spec.name for spec in runner.inputs} - {spec.name for spec in inputs}
    if unfed:
        raise ModelError(f"{model}: unexpected input {min(unfed)}; {_REMEDY}")


def require_feeds(inputs: Sequence[TensorSpec], feeds: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError unless feeds hold every input and nothing else, in dtype and shape."""
    for spec in inputs:
        array = feeds.get(spec.name)
        if array is None:
            raise ValueError(f"expected input {spec}, got only {sorted(feeds)}")
        if array.dtype != spec.dtype or not _is_of_shape(array.shape, spec.shape):
            raise ValueError(f"expected input {spec}, got {array.shape} {array.dtype}")
    if len(feeds) != len(inputs):
        raise ValueError(f"expected inputs {[spec.name for spec in inputs]}, got {sorted(feeds)}")


def _fits(wanted: TensorSpec, found: TensorSpec) -> bool:
    same_rank = len(wanted.shape) == len(found.shape)
    return (
        same_rank
        and wanted.dtype == found.dtype
        and all(has is None or has == size for size, has in zip(wanted.shape, found.shape, strict=True))
    )


def _is_of_shape(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        has > 0 and size in (None, has) for has, size in zip(shape, wanted, strict=True)
    )
