"""Whether each camera can know people, from the faces that it has shown.

What a picture can't say is assumed and told: a face is 15 cm wide, and the lens sees 70 to 90 degrees from left to
right unless somebody says how much. Faces under detect.min_face_px are not searched for, so nothing is known of who
stays farther away than that.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from jetstream.web.access import Caller
from jetstream.web.routes import Route
from jetstream.web.seen_faces import FaceFigures
from jetstream.web.site import Site

FACE_M: Final = 0.15
"""width of a face's box"""
USUAL_FOV_DEG: Final = (70.0, 90.0)
"""from left to right, of most cameras without zoom"""
FEWEST_TRACKS: Final = 5
FEWEST_LOOKS: Final = 30
"""of so many tracks, or of so many looks at fewer, something can be said"""
SCARCE: Final = 1.25
"""a face that is typically less than so many times the smallest one is too far away: half of all looks are missed"""
POOR: Final = 0.5
"""a quality under which recognition is about as far from a person's photos as from other people's"""
STEEP: Final = 0.2
"""how far the nose lies towards the mouth, in eye distances, when a camera looks down by some 30 degrees"""

Verdict = Literal["unknown", "good", "too_far", "too_steep", "turned_away", "too_dark", "blurred"]


class ReachWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the lens."""

    fov_deg: Annotated[float, Meta(ge=10, le=170)] | None = None
    """degrees that the picture shows from left to right; null: 70 to 90 are assumed"""


class CameraReach(msgspec.Struct, frozen=True):
    """Whether a camera can know people."""

    camera: str
    verdict: Verdict
    """unknown: it has shown too few faces. too_dark: or over-exposed"""
    tracks: int
    """faces that were followed since the page's process started, of which the newest 300 count"""
    named: int
    """of them, those that got a name"""
    needed_px: float
    """width of the smallest face that is searched for (detect.min_face_px)"""
    frame_width: int | None
    """px; null: no face seen yet"""
    width_px: float | None
    """of the face of a typical track, where it was widest"""
    smallest_named_px: float | None
    farther: float | None
    """how many times as far away as a typical one a face may be; needs no assumption"""
    reach_m: tuple[float, float] | None
    """up to how many metres a face is `needed_px` wide, for the widest and the narrowest view assumed"""
    fov_deg: tuple[float, float]
    """that were assumed for it"""
    pose: float | None
    """0..1, median; 1: frontal enough. So are the next two"""
    exposure: float | None
    sharpness: float | None


def reach(site: Site, wanted: ReachWanted, _: Caller) -> list[CameraReach]:
    """Whether each camera can know people, from the faces that it has shown."""
    return list(_reaches(site, wanted.fov_deg))


def _reaches(site: Site, fov_deg: float | None) -> Iterator[CameraReach]:
    config = site.effective_config()
    needed_px = config.detect.min_face_px
    view = (fov_deg, fov_deg) if fov_deg is not None else USUAL_FOV_DEG
    for camera in config.cameras:
        seen = site.faces.of(camera.name)
        metres = None
        if seen is not None:
            metres = reach_m(seen.frame_width, needed_px, view[1]), reach_m(seen.frame_width, needed_px, view[0])
        yield CameraReach(
            camera=camera.name,
            verdict="unknown" if seen is None else verdict(seen, needed_px),
            tracks=seen.tracks if seen else 0,
            named=seen.named if seen else 0,
            needed_px=needed_px,
            frame_width=seen.frame_width if seen else None,
            width_px=round(seen.width_px, 1) if seen else None,
            smallest_named_px=round(seen.smallest_named_px, 1) if seen and seen.smallest_named_px else None,
            farther=round(seen.width_px / needed_px, 2) if seen else None,
            reach_m=metres,
            fov_deg=view,
            pose=round(seen.pose, 2) if seen else None,
            exposure=round(seen.exposure, 2) if seen else None,
            sharpness=round(seen.sharpness, 2) if seen else None,
        )


def reach_m(frame_width: int, face_px: float, fov_deg: float) -> float:
    """At how many metres a face is `face_px` wide, through a lens without distortion."""
    focal_px = frame_width / 2 / math.tan(math.radians(fov_deg) / 2)
    return round(focal_px * FACE_M / face_px, 1)


def verdict(seen: FaceFigures, needed_px: float) -> Verdict:
    """What keeps the typical face from being known; the first of several."""
    if seen.tracks < FEWEST_TRACKS and seen.looks < FEWEST_LOOKS:
        return "unknown"
    if seen.width_px < SCARCE * needed_px:
        return "too_far"
    if seen.lowness > STEEP:
        return "too_steep"
    if seen.exposure < POOR:
        return "too_dark"
    if seen.pose < POOR:
        return "turned_away"
    return "blurred" if seen.sharpness < POOR else "good"


ROUTES: tuple[Route, ...] = (Route("GET", "/api/reach", "look", reach, ReachWanted, list[CameraReach]),)
