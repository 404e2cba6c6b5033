"""No input crashes a decoder or stays in memory. `make fuzz` runs the same with a million inputs each."""

import gc
import itertools
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import sockets
from tests.fuzz.decoders import Decoder, all_decoders, message_decoders
from tests.fuzz.mutate import mutated

SHARE_S = 0.1
"""for each decoder"""


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Decoder]]:
    with all_decoders(tmp_path_factory.mktemp("rings")) as decoders:
        yield decoders


@pytest.mark.filterwarnings("ignore")
def test_damaged_inputs_are_taken_or_refused_and_never_crash(decoders: list[Decoder]) -> None:
    for decoder in decoders:
        until_s, taken = time.monotonic() + SHARE_S, 0
        for done, data in enumerate(mutated(decoder.seeds, seed=20261124)):
            try:
                taken += decoder.takes(data)
            except Exception as error:
                raise AssertionError(f"{decoder.name}: {type(error).__name__}: {error} for {data!r}") from error
            if time.monotonic() > until_s and done >= (100 if taken else 2000):
                break
        assert taken > 0, f"{decoder.name}: the seeds are damaged beyond what the decoder looks at"


def test_seeds_themselves_are_taken(decoders: list[Decoder]) -> None:
    for decoder in decoders:
        for seed in decoder.seeds:
            if decoder.name not in ("truth", "ring header"):  # two of theirs are lines, or half a ring
                decoder.decode(seed)


@pytest.mark.filterwarnings("ignore")
def test_nothing_of_an_input_stays(decoders: list[Decoder]) -> None:
    for decoder in decoders:
        inputs = list(itertools.islice(mutated(decoder.seeds, seed=2), 200))
        feed(decoder, inputs)  # caches
        tracemalloc.start()
        for _ in range(3):
            feed(decoder, inputs)
        gc.collect()  # errors and their tracebacks hold each other
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert kept < 60_000, decoder.name


def feed(decoder: Decoder, inputs: list[bytes]) -> None:
    for data in inputs:
        decoder.takes(data)


def test_garbage_in_an_inbox_is_counted_and_no_good_message_is_lost(tmp_path: Path) -> None:
    flooded = sockets.flood_inbox(tmp_path, count=20_000, seed=1)
    assert flooded.good == flooded.sent_good == 40
    assert flooded.garbled > 15_000
    assert flooded.grown_mb < 30


words = st.sampled_from(
    ("type", "frame", "faces", "camera", "Tracked", "Captured", "Ended", "sender", "frame_id", "box")
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary() | words,
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(words | st.text() | st.integers(0, 9), inner, max_size=8)
    ),
    max_leaves=30,
)
MESSAGES = list(message_decoders())


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(values)
def test_any_whole_msgpack_is_a_message_or_refused(value: Any) -> None:
    data = msgpack.packb(value)
    for decoder in MESSAGES:
        feed(decoder, [data])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for decoder in MESSAGES:
        feed(decoder, [data])
