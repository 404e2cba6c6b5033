"""A camera that sends pictures over HTTP: an MJPEG stream, or a single picture that is asked for again and again.

Times are those of arrival. Opens no connection itself (`web` does) and finds no picture (`picture_scanner` does).
"""

import http.client
import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import av
from av.codec.hwaccel import HWAccel

from jetstream.errors import SourceError
from jetstream.picture_format import PicturePlace
from jetstream.video import nvdec
from jetstream.video.frames import Image, LazyFrame, Source, SourceSettings
from jetstream.video.picture_scanner import PictureScanner, codec_of
from jetstream.video.pixels import FrameConverter
from jetstream.video.troubles import no_picture
from jetstream.video.web import Answer, WebClient, left_s, web_trouble

POLLED_FPS = 5.0
"""how often a single picture is asked for, unless `fps` says otherwise"""
TURN_S = 0.5
"""longest sleep between two signs of life"""
SEVERAL = ("multipart/", "video/")
"""content types of streams; any other answer that ends after a picture is a single one"""


class WebPictures(Source):
    """Reads `answer`, then asks `client` again if it held one picture. Raises SourceError when no picture comes in
    time, while opening or later."""

    live = True

    def __init__(
        self,
        client: WebClient,
        answer: Answer,
        settings: SourceSettings,
        *,
        begun_s: float,
        fps_limit: float,
        cuda_device: int | None,
    ) -> None:
        super().__init__(loop=False)
        self._client, self._answer, self._cuda_device = client, answer, cuda_device
        self._fps_limit = 0.0 if is_single(answer) else fps_limit
        self._read_timeout_s, self._period_s = settings.read_timeout_s, 1 / (fps_limit or POLLED_FPS)
        self.fps = 1 / self._period_s if is_single(answer) else None
        self._convert = FrameConverter(settings)
        self._decoders: dict[str, Any] = {}
        self._failing = False
        self._first_s = self._wanted_s = time.monotonic()
        self._limit_s = left_s(begun_s, settings.open_timeout_s)
        self._reason = ""
        self._running_shots = self._all()
        try:
            first = next(self._running_shots, None)
            if first is None:
                raise SourceError(f"{client.shown}: it ended before its first frame; check what it sends")
            self._decoded = next((image for image in self._tried(first) if image is not None), None)
            if self._decoded is None:
                raise SourceError(f"{client.shown}: {no_picture(settings.open_timeout_s)}")
        except BaseException:
            self.close()
            raise
        self._limit_s = self._read_timeout_s
        self._size = self._decoded.shape[1::-1]

    def describe(self) -> str:
        rate = f", a picture, asked for {self.fps:.4g} times a second" if self.fps else ""
        return "{} ({}x{}{})".format(self._client.shown, *self._size, rate)

    def close(self) -> None:
        self._client.close()

    def _tried(self, first: LazyFrame) -> Iterator[PicturePlace | None]:
        """Pictures until one can be decoded."""
        yield first.picture()
        for shot in self._running_shots:
            yield shot.picture()

    def _shots(self) -> Iterator[LazyFrame]:
        self._first_s = self._wanted_s = time.monotonic()
        yield LazyFrame(0.0, lambda: self._decoded)
        for shot in self._running_shots:
            yield shot
            if not self._failing:
                self._wanted_s = time.monotonic()

    def _all(self) -> Iterator[LazyFrame]:
        """Every picture of the first answer, then one of each further answer. Ends with a stream."""
        asked_s, last, answer = time.monotonic(), b"", self._answer
        while True:
            count, single = 0, is_single(answer)
            for picture in self._pictures(answer):
                last, count = picture, count + 1
                yield self._shot(picture)
                if single:
                    break
            if not single and count != 1:
                return
            self._reason = "" if count else self._reason or no_picture(self._limit_s)
            self._finish(answer)
            tag = answer.headers.get("ETag") if count else None
            while True:
                asked_s = max(asked_s + self._period_s, time.monotonic())
                self._sleep_until(asked_s)
                asked = self._ask({"If-None-Match": tag} if tag and last else {})
                if asked is not None and asked.status != 304:
                    answer = asked
                    break
                if asked is not None:  # the picture is still what the camera sees
                    self._finish(asked)
                    yield self._shot(last)

    def _finish(self, answer: Answer) -> None:
        """Read what follows the picture, so that the connection can be used again."""
        try:
            while answer.piece():
                pass
        except (OSError, http.client.HTTPException, ValueError):
            self._client.close()

    def _shot(self, picture: bytes) -> LazyFrame:
        return LazyFrame(time.monotonic() - self._first_s, partial(self._picture, picture))

    def _pictures(self, answer: Answer) -> Iterator[bytes]:
        scanner, heard_s = PictureScanner(), -math.inf
        while True:
            self._client.patience(self._limit_s, left_s(self._wanted_s, self._limit_s))
            try:
                piece = answer.piece()
            except (OSError, http.client.HTTPException, ValueError) as error:
                sends = isinstance(error, TimeoutError) and time.monotonic() - heard_s < self._limit_s / 2
                self._reason = no_picture(self._limit_s) if sends else web_trouble(error, self._limit_s)
                self._client.close()
                if is_single(answer):
                    return
                raise SourceError(f"{self._client.shown}: {self._reason}") from None
            self.heard()
            heard_s = time.monotonic()
            if not piece:
                return
            yield from scanner.feed(piece)
            self._refuse_no_picture()

    def _ask(self, headers: dict[str, str]) -> Answer | None:
        """The next answer; None if there is none yet, which may happen to a picture."""
        self._client.patience(self._limit_s, left_s(self._wanted_s, self._limit_s + self._period_s))
        try:
            return self._client.get(headers)
        except (SourceError, http.client.HTTPException) as error:
            self._reason = str(error).removeprefix(f"{self._client.shown}: ")
            self._client.close()
            self._refuse_no_picture()
            return None

    def _refuse_no_picture(self) -> None:
        limit_s = self._limit_s + (self._period_s if self.fps else 0.0)
        if time.monotonic() - self._wanted_s >= limit_s:
            raise SourceError(f"{self._client.shown}: {self._reason or no_picture(self._limit_s)}")

    def _sleep_until(self, until_s: float) -> None:
        while (wait_s := until_s - time.monotonic()) > 0:
            time.sleep(min(wait_s, TURN_S))
            self.heard()

    def _picture(self, picture: bytes) -> Image | None:
        try:
            frames = self._decoder(codec_of(picture)).decode(av.Packet(picture))
            image = self._converted(frames[0]) if frames else None
        except av.FFmpegError:
            image = None
        self._failing = image is None
        self.skipped += image is None
        return image

    def _converted(self, frame: av.VideoFrame) -> Image:
        self._convert.see(frame, lambda: None)  # the density in a JPEG's header says nothing of its pixels' shape
        return self._convert(frame)

    def _decoder(self, codec: str) -> Any:
        if codec not in self._decoders:
            with nvdec.decoder(self._cuda_device, self._client.shown) as hwaccel:
                decoder = new_decoder(codec, hwaccel, self._client.shown)
            if codec != "mjpeg":  # FFmpeg adds a PNG to the one before, as in an animation
                return decoder
            self._decoders[codec] = decoder
        return self._decoders[codec]

    def _pass_ended(self, yielded: int) -> None:
        """A stream that ended is opened again by its owner."""


def new_decoder(codec: str, hwaccel: HWAccel | None, shown: str) -> Any:
    """A decoder of single pictures. Raises SourceError if the GPU, which was asked for, can't do it."""
    try:
        decoder = av.CodecContext.create(codec, "r", hwaccel) if hwaccel else av.CodecContext.create(codec, "r")
    except NotImplementedError:
        raise SourceError(nvdec.unable(shown, codec)) from None
    decoder.thread_count = 1  # frame threads would give each picture late
    return decoder


def is_single(answer: Answer) -> bool:
    """Whether its content type says one picture."""
    return not answer.kind.startswith(SEVERAL) and answer.length is not None
