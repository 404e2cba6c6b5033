"""What an address of the web is, by its server's answer: pictures, a film, a playlist or a live stream; and its source.

A film is read as a file. Decodes nothing.
"""

import http.client
import re
import time
import urllib.request
from functools import partial
from typing import Literal

import av

from jetstream.errors import SourceError
from jetstream.video import ffmpeg, nvdec
from jetstream.video.ffmpeg import GRACE_S, OpenVideo, within
from jetstream.video.frames import Source, SourceSettings
from jetstream.video.picture_scanner import STARTS
from jetstream.video.stream import Opener, StreamSource
from jetstream.video.troubles import network_trouble
from jetstream.video.web import Answer, WebClient, web_trouble
from jetstream.video.web_pictures import WebPictures

Meaning = Literal["pictures", "film", "playlist", "stream"]

PICTURE_TYPES = ("multipart/", "image/", "video/x-motion-jpeg", "video/x-jpeg", "video/mjpeg", "video/x-mjpeg")
PART = re.compile(rb"\s*--[^\r\n]+\r?\n(?:[A-Za-z-]+:[^\r\n]*\r?\n)+")
"""the beginning of a multipart body"""
PLAYLIST = re.compile(rb"\s*(?:\xef\xbb\xbf)?(?:#EXTM3U|(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<MPD\b)", re.DOTALL)
FILM = {"reconnect": "1", "reconnect_delay_max": "5", "multiple_requests": "1"}
"""FFmpeg goes on where the connection to a film broke off, and keeps one: on a second it may give up a step back"""


def meaning(kind: str, length: int | None, ranges: str, beginning: bytes) -> Meaning:
    """`kind`: Content-Type in small letters, `length`: Content-Length, `ranges`: Accept-Ranges, `beginning`: of it.

    A live stream states no length. A film states one, and can be read from any place or says that it is a video.
    """
    if kind.startswith(PICTURE_TYPES) or STARTS.match(beginning) or PART.match(beginning):
        return "pictures"
    if PLAYLIST.match(beginning):
        return "playlist"
    is_film = length is not None and ("bytes" in ranges.lower() or kind.startswith("video/"))
    return "film" if is_film else "stream"


def open_web(
    url: str, settings: SourceSettings, *, loop: bool, fps_limit: float, decode_threads: int, cuda_device: int | None
) -> Source:
    """The source at an http(s) address. Raises SourceError if there is no answer in time, or it is no video."""
    begun_s = time.monotonic()
    client = WebClient(url, settings.open_timeout_s)
    found = _look(client, url, settings.open_timeout_s)
    by_url = partial(ffmpeg.open_network, url, settings, cuda_device=cuda_device)
    opener: Opener = by_url
    live = True
    if found is not None:
        what = meaning(found.kind, found.length, found.headers.get("Accept-Ranges", ""), found.beginning)
        if what == "pictures":
            return WebPictures(client, found, settings, begun_s=begun_s, fps_limit=fps_limit, cuda_device=cuda_device)
        if what == "stream":
            opener = partial(_open_answer, client, found, settings, begun_s, cuda_device)
        else:
            client.close()
            live = False
            opener = partial(by_url, options=FILM if what == "film" else None)
            if what == "playlist":
                first = opener()
                live = first.container.duration is None
                opener = _Again(first, opener)
    return StreamSource(
        opener,
        client.shown,
        settings,
        live=live,
        decode_threads=decode_threads,
        fps_limit=fps_limit,
        loop=loop,
    )


class _Again:
    """An opener whose first result is there already."""

    def __init__(self, first: OpenVideo, opener: Opener) -> None:
        self._first: OpenVideo | None = first
        self._opener = opener

    def __call__(self) -> OpenVideo:
        first, self._first = self._first, None
        return first or self._opener()


def _look(client: WebClient, url: str, limit_s: float) -> Answer | None:
    """The server's answer; None if it is no HTTP of today, or comes through a proxy: then FFmpeg tries."""
    scheme, host = url.partition("://")[0].lower(), client.host
    if scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return None

    def ask() -> Answer:
        answer = client.get({})
        answer.beginning = answer.peek()
        return answer

    try:
        return within(limit_s + GRACE_S, ask)  # a name's resolution has no time limit of its own
    except OSError as error:
        client.close()
        raise SourceError(f"{client.shown}: {web_trouble(error, limit_s)}") from None
    except (http.client.HTTPException, ValueError):
        client.close()
        return None


def _open_answer(
    client: WebClient, answer: Answer, settings: SourceSettings, begun_s: float, cuda_device: int | None
) -> OpenVideo:
    """A live stream, read from the connection that is open already: some servers take no second one."""
    client.patience(settings.read_timeout_s)
    answer.until_s = begun_s + settings.open_timeout_s + settings.read_timeout_s
    try:
        with nvdec.decoder(cuda_device, client.shown) as hwaccel:
            container = av.open(answer, mode="r", hwaccel=hwaccel)
    except av.FFmpegError as error:
        answer.close()
        if answer.failure is not None:
            raise answer.failure from None
        raise SourceError(f"{client.shown}: {network_trouble(error, settings.open_timeout_s, late=False)}") from None
    except BaseException:
        answer.close()
        raise
    answer.until_s = None
    if container.format.name == "tty":  # FFmpeg draws text files as pictures
        container.close()
        answer.close()
        raise SourceError(f"{client.shown}: what it sends is no video that can be read; check the path in the address")
    return OpenVideo(container, ffmpeg.video_stream(container, client.shown, cuda_device), child=answer)
