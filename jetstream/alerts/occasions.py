"""What an alert may tell: something that happened to a sighting or a camera. Knows no rule and no database."""

from typing import Final, Literal, TypeAlias

import msgspec

from jetstream.config.schema import AlertKind
from jetstream.sighting import Sighting

OccasionKind: TypeAlias = Literal[AlertKind, "camera_up"]
OF_CAMERAS: Final[frozenset[OccasionKind]] = frozenset(("camera_down", "camera_up"))


class Occasion(msgspec.Struct, frozen=True):
    """Something that happened, as far as rules ask for it."""

    kind: OccasionKind
    at_ns: int  # Unix time
    camera: str
    area: str
    sighting: str = ""  # its id; empty: about a camera
    name: str | None = None  # of the person; None: a stranger
    stranger: int | None = None
    zone: str = ""

    @property
    def subject(self) -> str:
        """Whom or what it is about, for the cooldown."""
        if not self.sighting:
            return f"camera:{self.camera}"
        if self.name is not None:
            return person(self.name)
        return f"unknown:{self.camera}" if self.stranger is None else f"stranger:{self.stranger}"


def person(name: str) -> str:
    """The subject of what is about a person."""
    return f"person:{name}"


def of_sighting(kind: OccasionKind, at_ns: int, sighting: Sighting, zone: str = "") -> Occasion:
    """An occasion of a sighting as it is."""
    return Occasion(
        kind=kind,
        at_ns=at_ns,
        camera=sighting.camera,
        area=sighting.area,
        sighting=sighting.id,
        name=sighting.name,
        stranger=sighting.stranger,
        zone=zone,
    )
