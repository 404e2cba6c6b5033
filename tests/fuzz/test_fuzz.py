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
        inputs = list(itertools.islice(mutated(decoder.seeds, seed=2), 100))
        feed(decoder, inputs)  # fills caches
        assert min(grown_by_each_round(decoder, inputs)) < 10_000, decoder.name


def grown_by_each_round(decoder: Decoder, inputs: list[bytes], rounds: int = 3) -> list[int]:
    """Bytes that were kept of each of some rounds with the same inputs. A leak keeps some of each; a table that all
    of Python shares, such as that of interned strings, may grow in one of them by megabytes, whoever fills it."""
    tracemalloc.start()
    kept = []
    for _ in range(rounds + 1):
        gc.collect()  # errors and their tracebacks hold each other
        kept.append(tracemalloc.get_traced_memory()[0])
        feed(decoder, inputs)
    tracemalloc.stop()
    return [after - before for before, after in itertools.pairwise(kept)]


@pytest.mark.parametrize("leaks", [True, False])
def test_leak_is_told_from_a_table_that_grew_once(leaks: bool) -> None:
    kept: list[bytes] = []

    def decode(data: bytes) -> None:
        if leaks or not kept:
            kept.append(bytes(300 if leaks else 3_000_000))

    grown = grown_by_each_round(Decoder("a decoder", [], decode, ()), [b""] * 200)
    assert (min(grown) >= 20_000) is leaks
    assert max(grown) > 20_000


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
