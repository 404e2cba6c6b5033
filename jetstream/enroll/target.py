"""Who of the people that were seen is meant, and how a user says so.

Knows no source and no gallery.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from jetstream.enroll.samples import SampleSet
from jetstream.errors import UserError
from jetstream.vision.recognition import sample_selection
from jetstream.vision.recognition.sample_selection import PersonSamples

ALIKE: Final = 0.5
"""Somebody seen so much, of what the person seen most is, may be meant as well."""


class FacePosition(NamedTuple):
    """The pixel, and where it is told the second, at which the wanted face is."""

    x: float
    y: float
    time_s: float | None = None


def parse_at(text: str) -> FacePosition:
    """`X,Y` or `X,Y@SECONDS`. Raises UserError."""
    number = r"(\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"{number},{number}(?:@{number})?", text)
    if found is None:
        raise UserError(f"--at {text}: expected X,Y or X,Y@SECONDS, such as 320,180@2.5")
    x, y, time_s = found.groups()
    return FacePosition(float(x), float(y), None if time_s is None else float(time_s))


def the_one(seen: SampleSet, at: FacePosition | None, specs: Sequence[str]) -> PersonSamples:
    """Who is meant: the one at `at` in the first source, or whoever is seen most. Raises UserError: nobody, several."""
    where = ", ".join(dict.fromkeys(source.shown for source in seen.sources)) or ", ".join(specs)
    if not seen.looks:
        raise UserError(f"{where}: no face found; take a nearer, sharper look from the front")
    found = sample_selection.people_in(seen.looks)
    if at is not None:
        return _person_at(at, seen, found)
    if not found:
        raise UserError(f"{where}: faces, but each too small, blurred, dark or turned away; take a better look")
    shared = max(_sources(seen, person) for person in found)
    found = [person for person in found if _sources(seen, person) == shared]
    alike = [person for person in found if person.weight >= ALIKE * found[0].weight]
    if len(alike) > 1:
        ways = "; ".join(_way(seen, person) for person in alike[:6])
        raise UserError(f"{where}: {len(alike)} people are seen about equally; say which one: {ways}")
    return found[0]


def _sources(seen: SampleSet, person: PersonSamples) -> int:
    """In how many sources the person is seen: of several pictures it is the one who is in all of them."""
    return len({seen.sources[index] for index in person.samples})


def _person_at(at: FacePosition, seen: SampleSet, found: Sequence[PersonSamples]) -> PersonSamples:
    first = [index for index, source in enumerate(seen.sources) if source == seen.sources[0]]
    position = sample_selection.at([seen.looks[index] for index in first], at.x, at.y, at.time_s)
    shown = f"--at {at.x:g},{at.y:g}" + (f"@{at.time_s:g}" if at.time_s is not None else "")
    if position is None:
        ways = "; ".join(_way(seen, person) for person in found[:6])
        raise UserError(f"{shown}: no face there" + (f"; there are {ways}" if ways else ""))
    for person in found:
        if first[position] in person.samples:
            return person
    raise UserError(f"{shown}: that face is too small, blurred, dark or turned away; take a better look")


def _way(seen: SampleSet, person: PersonSamples) -> str:
    """How a person is told apart: `--at 320,180@2.5`."""
    index = max(person.samples, key=lambda i: (seen.sources[i] == seen.sources[0], seen.looks[i].quality))
    look, source = seen.looks[index], seen.sources[index]
    x, y = (look.box[:2] + look.box[2:]) / 2
    way = f"--at {max(x, 0):.0f},{max(y, 0):.0f}" + (f"@{look.time_s:.1f}" if source.timed else "")
    return way if source == seen.sources[0] else f"{source.shown} alone"
