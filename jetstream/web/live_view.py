"""The cameras that can be looked at, and a single picture of each."""

from typing import Annotated

import msgspec
from msgspec import Meta

from jetstream.config.schema import area_of
from jetstream.pipeline import camera_of
from jetstream.web.access import Caller
from jetstream.web.routes import FileAnswer, MissingError, Nothing, Route
from jetstream.web.site import Site


class CameraView(msgspec.Struct, frozen=True):
    """A camera."""

    name: str
    area: str
    """where it is"""
    state: str
    """of its process: `starting`, `running`, `restarting`, `done`; empty: not known"""
    fps: float
    """frames captured a second"""
    has_picture: bool


class OneCamera(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A camera's picture."""

    camera: str
    """its name"""
    width: Annotated[int, Meta(ge=1, le=8192)] = 640
    """px; the picture is so wide or a little more, never larger than the frame"""


def cameras(site: Site, _: Nothing, __: Caller) -> list[CameraView]:
    """The cameras, in the config's order."""
    status = {camera_of(one.process): one for one in site.status.processes} if site.status else {}
    views = []
    for camera in site.config.cameras:
        process = status.get(camera.name)
        beat = process.beat if process else None
        views.append(
            CameraView(
                camera.name,
                area_of(camera),
                process.state if process else "",
                beat.fps if beat else 0.0,
                camera.name in site.frames.newest,
            )
        )
    return views


def snapshot(site: Site, one: OneCamera, _: Caller) -> FileAnswer:
    """The newest picture of a camera, as JPEG."""
    picture = site.frames.picture(one.camera, one.width)
    if picture is None:
        raise MissingError(f"{one.camera}: there is no such camera, or no picture of it yet")
    return FileAnswer(picture.jpeg, "image/jpeg")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/cameras", "look", cameras, gives=list[CameraView]),
    Route("GET", "/api/cameras/{camera}/picture", "look", snapshot, OneCamera, FileAnswer),
)
