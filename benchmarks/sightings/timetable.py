"""Who comes when, at which camera, and how: a timetable drawn by chance, and the sightings that it makes true. Pure."""

import random
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

STAY_S: Final = (2.0, 20.0)
NEAR_ABSENCE_S: Final = 4.0
"""no break is nearer to `absence_s`, so that each is clearly shorter or longer"""
RETURNS: Final = 0.35
"""share of walks by somebody who has just left"""
TOGETHER: Final = 0.5
"""share of walks that begin while somebody else is there"""
WIDTH_PX: Final = 1280
SPEED: Final = (2.5, 5.0)
"""heights of a face a second where somebody enters: 0.6 to 1.2 m/s"""
EASE: Final = 1.5
"""how much faster people enter than they walk on average"""


class Walk(NamedTuple):
    """One person from when half of the face is in the picture until half of it has left."""

    person: str
    camera: str
    begin_s: float
    end_s: float
    from_left: bool
    to_left: bool
    stand_x: float  # where the person stands, share of the width
    stand_y: float
    face_px: float  # height of the face
    in_s: float  # time for the way in
    out_s: float
    seed: int


class TrueSighting(NamedTuple):
    """What is to be found."""

    person: str
    camera: str
    begin_s: float
    end_s: float
    breaks_s: tuple[float, ...] = ()  # between its walks


def timetable(
    people: Sequence[str], cameras: Sequence[str], *, length_s: float, absence_s: float, seed: int
) -> list[Walk]:
    """Walks at all cameras, in order of time. Nobody is at two cameras at once, nor is a third one let in."""
    chance = random.Random(seed)
    walks: list[Walk] = []
    next_s = {camera: chance.uniform(1, 3) for camera in cameras}
    while min(next_s.values()) < length_s - STAY_S[0] - 3:
        camera = min(next_s, key=lambda name: next_s[name])
        begin_s = next_s[camera]
        here = [walk for walk in walks if walk.camera == camera]
        present = [walk for walk in here if walk.end_s > begin_s - 0.5]
        if len(present) >= 2:
            next_s[camera] = min(walk.end_s for walk in present) + chance.uniform(0.6, 2)
            continue
        stay_s = min(STAY_S[0] + chance.expovariate(1 / 6), STAY_S[1])
        end_s = min(begin_s + stay_s, length_s - 1.5)
        person = _chosen(people, walks, camera, begin_s, end_s, absence_s, chance)
        if person is None:
            next_s[camera] += 1.0
            continue
        walks.append(_walk(person, camera, begin_s, end_s, present, chance))
        joins = chance.random() < TOGETHER
        next_s[camera] = chance.uniform(begin_s + 0.8, end_s) if joins else end_s + chance.uniform(0.5, 5)
    return sorted(walks, key=lambda walk: walk.begin_s)


def true_sightings(walks: Iterable[Walk], absence_s: float) -> list[TrueSighting]:
    """The walks of each person at each camera, joined across breaks shorter than `absence_s`."""
    found: list[TrueSighting] = []
    for walk in sorted(walks, key=lambda one: (one.camera, one.person, one.begin_s)):
        last = found[-1] if found else None
        if last is not None and (last.camera, last.person) == (walk.camera, walk.person):
            break_s = walk.begin_s - last.end_s
            if break_s < absence_s:
                found[-1] = last._replace(end_s=walk.end_s, breaks_s=(*last.breaks_s, break_s))
                continue
        found.append(TrueSighting(walk.person, walk.camera, walk.begin_s, walk.end_s))
    return sorted(found, key=lambda one: (one.begin_s, one.camera))


def _chosen(
    people: Sequence[str],
    walks: Sequence[Walk],
    camera: str,
    begin_s: float,
    end_s: float,
    absence_s: float,
    chance: random.Random,
) -> str | None:
    """Who comes: somebody who left a moment ago, or somebody whose last visit here is longer ago than `absence_s`."""
    last: dict[str, Walk] = {}
    for walk in walks:
        if walk.person not in last or walk.end_s > last[walk.person].end_s:
            last[walk.person] = walk
    here = {walk.person: walk.end_s for walk in sorted(walks, key=lambda one: one.end_s) if walk.camera == camera}
    free = [name for name in people if name not in last or last[name].end_s < begin_s - 0.8]
    back = [
        name
        for name in free
        if name in here and 1.0 < begin_s - here[name] < absence_s - NEAR_ABSENCE_S and last[name].camera == camera
    ]
    fresh = [name for name in free if name not in here or begin_s - here[name] > absence_s + NEAR_ABSENCE_S]
    if back and (chance.random() < RETURNS or not fresh):
        return chance.choice(back)
    return chance.choice(fresh) if fresh else None


def _walk(
    person: str, camera: str, begin_s: float, end_s: float, present: Sequence[Walk], chance: random.Random
) -> Walk:
    stand_x = chance.uniform(0.22, 0.78)
    for other in present:  # beside, not in front of, somebody who stands there
        stand_x = chance.uniform(0.15, 0.38) if other.stand_x > 0.5 else chance.uniform(0.62, 0.85)
    from_left, to_left = (chance.random() < 0.5 for _ in range(2))
    face_px = chance.uniform(90, 165)
    speed = chance.uniform(*SPEED) * face_px / WIDTH_PX / EASE
    most_s = (end_s - begin_s) / 2.2
    if max(_distance(stand_x, from_left), _distance(stand_x, to_left)) > speed * most_s:  # too short a stay to cross
        to_left = from_left
        stand_x = min(speed * most_s, _distance(stand_x, from_left))
        stand_x = stand_x if from_left else 1 - stand_x
    return Walk(
        person,
        camera,
        begin_s,
        end_s,
        from_left=from_left,
        to_left=to_left,
        stand_x=stand_x,
        stand_y=chance.uniform(0.38, 0.62),
        face_px=face_px,
        in_s=_distance(stand_x, from_left) / speed,
        out_s=_distance(stand_x, to_left) / speed,
        seed=chance.randrange(1 << 30),
    )


def _distance(stand_x: float, left: bool) -> float:
    """From that edge, in widths of the picture."""
    return stand_x if left else 1 - stand_x
