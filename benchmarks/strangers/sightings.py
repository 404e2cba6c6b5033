"""Sightings of people as cameras might have had them: one to three looks of one person each, drawn from labelled sets.

Knows no grouping. Labels are taken as they are; of glint24_dev, some of which are said to be wrong, no photo lies far
from the middle of its own person's others with both networks. Two sets may show one person under two names (ALIASES).
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.names.looks import CLEAN, Looks, Studio
from jetstream.vision.detection.detector import faces_in
from jetstream.vision.recognition.quality import measure
from tests.support.defaults import open_source

PHOTOS = ("lfw10x10", "glint24_dev", "bbt_train", "bbt_faceapi")
FRIENDS = "friends"
SETS = (*PHOTOS, FRIENDS)
ALIASES = {"jennifer_aniston": "rachel", "rajesh": "raj"}
WORSE = ("mask", "sunglasses", "small", "motion_blur", "low_light_8", "mild_blur", "tilted", "jpeg")
WORSE_SHARE = 0.5
MOST_LOOKS = 3
MIN_QUALITY = 0.05  # as a live look must have to be embedded
EVERY, PIECE = 3, 24  # frames: one in three is looked at, and a sighting of the film is a second of it
INSIDE = (60, 1090)  # px: of whom the film's truth speaks
SURE = 0.9  # a face of a lower score may be none, and has no track yet


class DrawnSighting(NamedTuple):
    """One person's looks."""

    person: str
    embeddings: NDArray[np.float32]  # (n, D)
    qualities: NDArray[np.float32]  # (n,)


class LookSet(NamedTuple):
    """The looks of a set, and those of the same photos made worse."""

    looks: Looks
    worse: tuple[Looks, ...]
    pieces: NDArray[np.intp] | None  # (N,) sighting of a film's look; None: photos


def loaded(studio: Studio, data: Path) -> dict[str, LookSet]:
    """All sets with one network."""
    found = {}
    for name in PHOTOS:
        worse = tuple(studio.looks(data / name, degradation, 60) for degradation in WORSE)
        found[name] = LookSet(_renamed(studio.looks(data / name, CLEAN, 60)), tuple(map(_renamed, worse)), None)
    found[FRIENDS] = _friends(studio, data)
    return found


def half_of(person: str) -> int:
    """0: constants are chosen with this person; 1: reported with."""
    return zlib.crc32(person.encode()) % 2


def drawn(sets: dict[str, LookSet], seed: int, half: int | None, *, is_worse: bool) -> list[DrawnSighting]:
    """All sightings in random order; each look of a person is in one. `half` of the people, or None for all."""
    random = np.random.default_rng([seed, is_worse])
    found = []
    for part in sets.values():
        if is_worse and not part.worse:
            continue
        for person in np.unique(part.looks.people).tolist():
            if half is None or half_of(person) == half:
                found += list(_sightings(part, person, random, is_worse))
    return [found[place] for place in random.permutation(len(found))]


def _sightings(part: LookSet, person: str, random: np.random.Generator, is_worse: bool) -> Iterator[DrawnSighting]:
    own = np.flatnonzero(part.looks.people == person)
    for rows in _pieces(part, own, random):
        is_changed = is_worse and random.random() < WORSE_SHARE
        looks = part.worse[random.integers(len(part.worse))] if is_changed else part.looks
        mine = np.flatnonzero(np.isin(looks.photos, part.looks.photos[rows]) & (looks.qualities >= MIN_QUALITY))
        if len(mine):
            yield DrawnSighting(person, looks.embeddings[mine], looks.qualities[mine])


def _pieces(part: LookSet, own: NDArray[np.intp], random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    if part.pieces is not None:
        for piece in np.unique(part.pieces[own]):
            yield random.permutation(own[part.pieces[own] == piece])[: random.integers(1, MOST_LOOKS + 1)]
        return
    rest = random.permutation(own)
    while len(rest):
        count = int(random.integers(1, MOST_LOOKS + 1))
        yield rest[:count]
        rest = rest[count:]


def _friends(studio: Studio, data: Path) -> LookSet:
    """Each second of the film is a sighting of both people, and each photo of `friends_refs` one."""
    refs = _renamed(studio.looks(data / "friends_refs", CLEAN, 60))
    path = studio.kept / f"friends_dev-{studio.entry.spec.name}-{studio.entry.sha256[:12]}.npz"
    if not path.is_file():
        np.savez_compressed(path, **_film(studio, data / "video")._asdict())
    with np.load(path) as stored:
        film = Looks(**{name: stored[name] for name in Looks._fields[:-1]}, missed=int(stored["missed"]))
    looks = Looks(
        *(np.concatenate([getattr(film, name), getattr(refs, name)]) for name in ("embeddings", "people")),
        np.arange(len(film.people) + len(refs.people)),
        np.concatenate([film.qualities, refs.qualities]),
        film.missed,
    )
    pieces = np.concatenate([film.photos // PIECE, 10_000 + np.arange(len(refs.people))])
    return LookSet(looks, (), pieces)


def _film(studio: Studio, folder: Path) -> Looks:
    """The largest sure face left and right; `photos` are frames."""
    shots = json.loads((folder / "friends_dev.json").read_text())["shots"]
    found, people, numbers, qualities = [], [], [], []
    with open_source(str(folder / "friends_dev.mp4")) as frames:
        for number, frame in enumerate(frames):
            if number % EVERY:
                continue
            shot = next(one for one in shots if one["first"] <= number <= one["last"])
            seen = faces_in(studio.detector, frame.image)
            middles = (seen.boxes[:, 0] + seen.boxes[:, 2]) / 2
            areas = np.prod(seen.boxes[:, 2:] - seen.boxes[:, :2], axis=1)
            usable = (middles >= INSIDE[0]) & (middles <= INSIDE[1]) & (seen.scores >= SURE)
            for side, is_there in (("left", middles < 640), ("right", middles >= 640)):
                rows = np.flatnonzero(usable & is_there)
                if not len(rows):
                    continue
                points = seen.landmarks[rows[areas[rows].argmax()]]
                (output,) = studio.embedder.look([(frame.image, points[None])], mirror=studio.entry.is_mirrored)
                found.append(output.embeddings[0])
                people.append(shot[side].lower())
                numbers.append(number)
                qualities.append(measure(frame.image, points).overall)
    return Looks(np.array(found), np.array(people), np.array(numbers), np.array(qualities, np.float32), 0)


def _renamed(looks: Looks) -> Looks:
    names = [ALIASES.get(person.lower(), person.lower()) for person in looks.people.tolist()]
    return looks._replace(people=np.array(names))
