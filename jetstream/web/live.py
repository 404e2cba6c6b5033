"""Live pictures and news over one WebSocket: the page says which cameras it shows, how wide, and how many pictures it
may be sent; each picture comes with the faces of that very frame.

From the page, JSON: {"show": [{"camera": "door", "width": 640, "fps": 10}], "credits": 2}; both are optional. To the
page, binary: four bytes, little-endian, the length of the header; the header, JSON (`FrameHeader`); the JPEG.
To the page, text: {"news": {"sightings": "179...0.17", "gallery": {"sha256": "...", "people": 3, "photos": 9}}}, at the
beginning and within half a second after something changed (`News`); the page then asks again for what it shows.
A viewer who is slow gives few credits, gets fewer pictures, and always the newest ones.
"""

import asyncio
import contextlib
import struct
import time
from collections.abc import Sequence
from typing import Annotated, Final

import anyio.to_thread
import msgspec
from msgspec import Meta
from starlette.websockets import WebSocket, WebSocketDisconnect

from jetstream.messages import Box, FrameRef, Landmarks, NameCandidate, TrackedFace
from jetstream.sighting import without_names_of_strangers
from jetstream.web import guard
from jetstream.web.access_file import AccessFileError
from jetstream.web.frames import FrameJpeg
from jetstream.web.news import LOOK_EVERY_S
from jetstream.web.site import Site

MOST_CREDITS: Final = 8
"""pictures on the way to a viewer, at most"""
MOST_TILES: Final = 256
MOST_VIEWERS: Final = 64
FASTEST_FPS: Final = 60.0
CHECK_EVERY_S: Final = 2.0
"""how soon a viewer whose session ends sees nothing more"""
POLICY: Final = 1008
"""close code of RFC 6455: refused"""
TRY_LATER: Final = 1013


class Tile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A camera that the page shows."""

    camera: str
    width: Annotated[int, Meta(ge=1, le=8192)] = 640
    """px on the screen"""
    fps: Annotated[float, Meta(gt=0, le=FASTEST_FPS)] = FASTEST_FPS


class Demand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page sends."""

    show: Annotated[tuple[Tile, ...], Meta(max_length=MOST_TILES)] | None = None
    """the tiles in sight from now on; null: as before"""
    credits: Annotated[int, Meta(ge=0, le=MOST_CREDITS)] = 0
    """further pictures that may be sent"""


class FaceView(msgspec.Struct, frozen=True):
    """A face in a picture."""

    track: int
    box: Box
    """px of the frame"""
    landmarks: Landmarks | None
    name: str | None
    confidence: float
    state: str
    doubtful: bool
    sighting: str | None
    votes: tuple[NameCandidate, ...]


class FrameHeader(msgspec.Struct, frozen=True):
    """What comes before a picture."""

    camera: str
    frame: int
    width: int
    """of the frame, px; the picture may be smaller"""
    height: int
    wall_ns: int
    age_ms: float
    """since the frame was captured"""
    faces: tuple[FaceView, ...]


_decoder = msgspec.json.Decoder(Demand)


async def serve(site: Site, socket: WebSocket) -> None:
    """Serve one viewer until it leaves."""
    if guard.refusal("GET", socket.headers, is_socket=True):
        await socket.close(POLICY, "another site asks")
        return
    try:
        caller = await anyio.to_thread.run_sync(site.caller, socket)
    except AccessFileError:  # whoever asks for anything else is told so
        await socket.close(TRY_LATER, "try again")
        return
    if caller is None:
        await socket.close(POLICY, "log in first")
        return
    if site.viewers >= MOST_VIEWERS:
        await socket.close(TRY_LATER, "too many viewers")
        return
    with site.viewing() as fresh:  # counted before anything is awaited
        await socket.accept()
        viewer = _Viewer(site, socket, fresh)
        doing = (viewer.send_pictures(), viewer.send_news(), viewer.end_when_logged_out())
        sending = [asyncio.ensure_future(one) for one in doing]
        try:
            await viewer.receive_demands()
        finally:
            for task in sending:
                task.cancel()
            for task in sending:
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, OSError):
                    await task


class _Viewer:
    """One page that looks."""

    def __init__(self, site: Site, socket: WebSocket, fresh: asyncio.Event) -> None:
        self._site, self._socket, self._fresh = site, socket, fresh
        self._tiles: dict[str, Tile] = {}
        self._credits = 0
        self._sent: dict[str, tuple[int, float]] = {}  # of each camera: the frame sent last, and when

    async def receive_demands(self) -> None:
        """Until the page leaves, or sends what is no demand."""
        while True:
            try:
                demand = _decoder.decode(await self._socket.receive_text())
            except (msgspec.DecodeError, KeyError):
                await self._socket.close(POLICY, "no demand")
                return
            except WebSocketDisconnect:
                return
            if demand.show is not None:
                self._tiles = {tile.camera: tile for tile in demand.show}
            self._credits = min(MOST_CREDITS, self._credits + demand.credits)
            self._fresh.set()

    async def send_pictures(self) -> None:
        """For ever."""
        while True:
            tile, wait_s = self._next(time.monotonic())
            if tile is None:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._fresh.wait(), wait_s)
                self._fresh.clear()
                continue
            picture = await anyio.to_thread.run_sync(self._site.frames.picture, tile.camera, tile.width)
            if picture is None:
                self._sent[tile.camera] = self._sent.get(tile.camera, (-1, 0.0))[0], time.monotonic()
                continue
            self._sent[tile.camera] = picture.tracked.frame.frame_id, time.monotonic()
            self._credits -= 1
            await self._socket.send_bytes(_message(picture))

    async def send_news(self) -> None:
        """For ever."""
        told = None
        while True:
            newest = await anyio.to_thread.run_sync(self._site.news.newest, time.monotonic())
            if newest != told:
                await self._socket.send_text(msgspec.json.encode({"news": newest}).decode())
                told = newest
            await asyncio.sleep(LOOK_EVERY_S)

    async def end_when_logged_out(self) -> None:
        """For ever: end it when the session ends, such as with a user who is removed."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            with contextlib.suppress(AccessFileError):
                if await anyio.to_thread.run_sync(self._site.caller, self._socket) is None:
                    await self._socket.close(POLICY, "log in first")
                    return

    def _next(self, now_s: float) -> tuple[Tile | None, float | None]:
        """The tile that has waited longest for a new frame which is due; else how long until one may be."""
        if self._credits <= 0:
            return None, None
        due, wait_s = [], None
        for camera, tile in self._tiles.items():
            newest = self._site.frames.newest.get(camera)
            frame_id, at_s = self._sent.get(camera, (-1, 0.0))
            if newest is None or newest.frame.frame_id == frame_id:
                continue
            # a little early rather than a frame late: frames come at the camera's own times
            left_s = at_s + 0.9 / tile.fps - now_s
            if left_s <= 0:
                due.append((at_s, tile))
            else:
                wait_s = left_s if wait_s is None else min(wait_s, left_s)
        return (min(due, key=lambda one: one[0])[1], None) if due else (None, wait_s)


def _message(picture: FrameJpeg) -> bytes:
    header = msgspec.json.encode(_header(picture.tracked.frame, picture.tracked.faces, picture.size))
    return struct.pack("<I", len(header)) + header + picture.jpeg


def _header(frame: FrameRef, faces: Sequence[TrackedFace], size: tuple[int, int]) -> FrameHeader:
    return FrameHeader(
        camera=frame.camera,
        frame=frame.frame_id,
        width=size[0],
        height=size[1],
        wall_ns=frame.wall_ns,
        age_ms=(time.monotonic_ns() - frame.captured_ns) / 1e6,
        faces=tuple(
            FaceView(
                face.track_id,
                face.box,
                face.landmarks,
                face.name,
                face.confidence,
                face.state,
                face.doubtful,
                face.sighting,
                without_names_of_strangers(face.votes),
            )
            for face in faces
            if face.state != "lost"
        ),
    )
