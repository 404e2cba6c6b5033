"""What is known of a sighting, as it is stored, printed and told.

Knows no database and no file.
"""

from typing import Literal

import msgspec

from jetstream.messages import NameCandidate

SCHEMA = 1
"""version of a sighting's JSON and of the sighting message"""
State = Literal["open", "ended", "merged"]
Change = Literal["enter", "named", "merged", "exit", "stranger", "corrected"]
Correction = Literal["", "name", "not", "ignore"]


class ZoneVisit(msgspec.Struct, frozen=True):
    """A zone in which the face was."""

    name: str
    """name of the zone in the config"""
    first: str
    """when the face was there first, UTC, ISO 8601 to the millisecond"""


class Sighting(msgspec.Struct, frozen=True):
    """One person, or one stranger, at one camera without a longer break: a line of `jetstream sightings --json`, and a
    part of a `sighting` message."""

    id: str
    """ULID: sorts by time, unique over restarts and machines"""
    camera: str
    """`name` of the camera in the config"""
    area: str
    """where the camera is"""
    state: State
    """`open`: it may go on; `ended`; `merged`: it turned out to be a part of the sighting `into`"""
    name: str | None
    """who it was: as corrected, else the machine's name; null: a stranger"""
    machine_name: str | None
    """the machine's own name, whatever was corrected"""
    stranger: int | None
    """number of the stranger; null: none yet, or a person with a name"""
    begin: str
    """first detection, UTC, ISO 8601 to the millisecond"""
    end: str
    """newest detection, UTC, ISO 8601 to the millisecond"""
    begin_s: float
    """first detection in the source's own time [s]"""
    end_s: float
    """newest detection in the source's own time [s]"""
    confidence: float
    """largest probability so far that the machine's name is right, 0 to 1"""
    correction: Correction
    """what a human said: `name`: another name; `not`: not the name `denied`; `ignore`: a stranger who shall get no
    name; empty: nothing"""
    zones: tuple[ZoneVisit, ...] = ()
    """zones in which the face was, the first one first"""
    looks: tuple[str, ...] = ()
    """pictures of the face, relative to `sightings.dir`, the best first"""
    why: tuple[NameCandidate, ...] = ()
    """candidate names at the decision, the likeliest first, each with its nearest photo"""
    gallery: str = ""
    """SHA-256 of the gallery that gave the name, hexadecimal"""
    into: str | None = None
    """id of the sighting that this one is a part of"""
    denied: str | None = None
    """the machine's name that a human said it isn't; the machine may have another one since"""

    @property
    def who(self) -> str:
        """The name, or the stranger's number, for people."""
        if self.name is not None:
            return self.name
        return "stranger" if self.stranger is None else f"stranger {self.stranger}"


class SightingMessage(msgspec.Struct, frozen=True):
    """The map of a `sighting` message of the topic."""

    schema: int
    """version of this format"""
    epoch: int
    """when the database was made; changes with a new database [ns]"""
    seq: int
    """counts all changes of this epoch from 1, without gaps, over all restarts"""
    change: Change
    """`enter`: it began; `named`: it got a name or another one; `merged`: it was a part of the sighting `into`; `exit`:
    it ended; `stranger`: it got a stranger's number, or another one; `corrected`: by a human"""
    wall: str
    """when the change was written, UTC, ISO 8601 to the millisecond"""
    sighting: Sighting
    """the sighting after the change"""


class FoundSighting(msgspec.Struct, frozen=True):
    """A sighting with a look that resembles the face."""

    sighting: Sighting
    probability: float
    """that it shows the same person, 0 to 1"""
    distance: float
    """of the nearest look, in embedding space"""
    look: str
    """the nearest look, relative to `sightings.dir`"""


def without_names_of_strangers(why: tuple[NameCandidate, ...]) -> tuple[NameCandidate, ...]:
    """The candidates, where the one for unknown names no enrolled person's photo."""
    return tuple(
        candidate if candidate.name is not None else msgspec.structs.replace(candidate, photo=None) for candidate in why
    )
