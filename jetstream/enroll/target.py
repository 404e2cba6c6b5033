"""Selects the person to enrol among the people in the samples.

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
"""A person with at least this share of the weight of the most frequent person could be meant as well."""


class FacePosition(NamedTuple):
    """A position inside the wanted face."""

    x: float  # px
    y: float  # px
    time_s: float | None = None  # in the video; None: at any time


def parse_at(text: str) -> FacePosition:
    """The position in `X,Y` or `X,Y@SECONDS`. Raises UserError for other text."""
    number = r"(\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"{number},{number}(?:@{number})?", text)
    if found is None:
        raise UserError(f"--at {text}: expected X,Y or X,Y@SECONDS, such as 320,180@2.5")
    x, y, time_s = found.groups()
    return FacePosition(float(x), float(y), None if time_s is None else float(time_s))


def target_person(samples: SampleSet, at: FacePosition | None, specs: Sequence[str]) -> PersonSamples:
    """The person at `at` in the first source, or without it the most frequent person of all sources.

    Raises UserError when there is no usable face, or several people are equally frequent.
    """
    where = ", ".join(dict.fromkeys(source.shown for source in samples.sources)) or ", ".join(specs)
    if not samples.faces:
        raise UserError(f"{where}: no face found; use a closer, sharper picture from the front")
    found = sample_selection.people_in(samples.faces, samples.space)
    if at is not None:
        return _person_at(at, samples, found)
    if not found:
        raise UserError(f"{where}: every face is too small, blurred, dark or turned away; use a better picture")
    shared = max(_sources(samples, person) for person in found)
    found = [person for person in found if _sources(samples, person) == shared]
    alike = [person for person in found if person.weight >= ALIKE * found[0].weight]
    if len(alike) > 1:
        options = "; ".join(_option(samples, person) for person in alike[:6])
        raise UserError(f"{where}: {len(alike)} people are about equally frequent; say which one: {options}")
    return found[0]


def _sources(samples: SampleSet, person: PersonSamples) -> int:
    """The number of sources that show the person: the person to enrol is in all pictures."""
    return len({samples.sources[index] for index in person.samples})


def _person_at(at: FacePosition, samples: SampleSet, found: Sequence[PersonSamples]) -> PersonSamples:
    first = [index for index, source in enumerate(samples.sources) if source == samples.sources[0]]
    position = sample_selection.at([samples.faces[index] for index in first], at.x, at.y, at.time_s)
    position_text = f"--at {at.x:g},{at.y:g}" + (f"@{at.time_s:g}" if at.time_s is not None else "")
    if position is None:
        options = "; ".join(_option(samples, person) for person in found[:6])
        raise UserError(f"{position_text}: no face there" + (f"; there are {options}" if options else ""))
    for person in found:
        if first[position] in person.samples:
            return person
    raise UserError(f"{position_text}: that face is too small, blurred, dark or turned away; use a better picture")


def _option(samples: SampleSet, person: PersonSamples) -> str:
    """The option that selects a person, such as `--at 320,180@2.5`."""
    index = max(person.samples, key=lambda i: (samples.sources[i] == samples.sources[0], samples.faces[i].quality))
    sample, source = samples.faces[index], samples.sources[index]
    x, y = (sample.box[:2] + sample.box[2:]) / 2
    option = f"--at {max(x, 0):.0f},{max(y, 0):.0f}" + (f"@{sample.time_s:.1f}" if source.timed else "")
    return option if source == samples.sources[0] else f"{source.shown} alone"
