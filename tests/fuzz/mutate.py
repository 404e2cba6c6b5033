"""Real inputs, damaged at random: the same seed damages them in the same way."""

import random
from collections.abc import Callable, Iterator, Sequence

LARGEST = 1 << 16


def mutated(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """For ever: one of `seeds`, with one to six changes; now and then bytes of no origin."""
    dice = random.Random(seed)
    while True:
        if dice.random() < 0.02:
            yield dice.randbytes(dice.randrange(200))
            continue
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 6)):
            dice.choice(CHANGES)(data, dice, seeds)
        yield bytes(data[:LARGEST])


def _place(data: bytearray, dice: random.Random) -> int:
    return dice.randrange(len(data) + 1)


def _flip(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    if data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _set(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    """To a byte that means much in msgpack, JSON, TOML or a length."""
    if data:
        data[dice.randrange(len(data))] = dice.choice(
            b"\x00\x01\x7f\x80\x8f\x90\xc0\xc1\xd9\xdc\xdd\xde\xdf\xff\"'{}[],:=.-9e\n\\"
        )


def _insert(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    at = _place(data, dice)
    data[at:at] = dice.randbytes(dice.choice((1, 2, 4, 8, 40)))


def _delete(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 2, 4, 8, 40))]


def _truncate(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    del data[_place(data, dice) :]


def _repeat(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    """Part of it many times over: deep nesting, long lists, doubled keys."""
    at = _place(data, dice)
    data[at:at] = data[at : at + dice.choice((1, 2, 8, 64))] * dice.choice((1, 2, 16, 200))


def _splice(data: bytearray, dice: random.Random, seeds: Sequence[bytes]) -> None:
    other = dice.choice(seeds)
    at, begin = _place(data, dice), dice.randrange(len(other) + 1)
    data[at : at + dice.randrange(64)] = other[begin : begin + dice.randrange(64)]


CHANGES: Sequence[Callable[[bytearray, random.Random, Sequence[bytes]], None]] = (
    _flip, _set, _insert, _delete, _truncate, _repeat, _splice,
)  # fmt: skip
