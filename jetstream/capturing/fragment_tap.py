"""A camera's packets into its folder of fragments, for clips, while its source is read: nothing is decoded.

Never raises and never waits: what can't be stored is left out, counted and logged.
"""

import logging
from typing import TYPE_CHECKING, Any, Final

import av

from jetstream.capturing import fragment_places
from jetstream.config.schema import Config
from jetstream.video.ffmpeg import OpenVideo
from jetstream.video.gop.fragment_folder import FragmentFolder
from jetstream.video.gop.fragment_muxer import (
    AUDIO_CODECS,
    VIDEO_CODECS,
    FragmentMuxer,
    HeaderWatch,
    MuxedFragment,
)

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

FAILURES: Final = (av.FFmpegError, OSError, ValueError)

log = logging.getLogger(__name__)


def tap_of(config: Config) -> "FragmentTap | None":
    """The tap of the one camera in `config`; None: its packets are not wanted. What a camera sends is never blurred, so
    with render.blur they aren't."""
    if not config.clips.dir or config.render.blur != "none" or config.pipeline.pace != "live":
        return None
    (camera,) = config.cameras
    try:
        folder = fragment_places.opened(fragment_places.copied_of(camera.name, config), config)
    except OSError as error:
        log.warning("%s: its newest seconds can't be kept for clips (%s)", camera.name, error.strerror)
        return None
    return FragmentTap(camera.name, folder, with_sound=config.clips.audio)


class FragmentTap:
    """The tap of one camera. `lost`: fragments that could not be stored."""

    def __init__(self, camera: str, folder: FragmentFolder, *, with_sound: bool) -> None:
        self.with_sound = with_sound
        self._camera, self._folder = camera, folder
        self._opened: OpenVideo | None = None
        self._muxer: FragmentMuxer | None = None
        self._watch: HeaderWatch | None = None
        self._base_ns = 0
        self.lost = 0
        self._is_failing = False

    def see(self, opened: OpenVideo, packet: "Packet[Any]", arrived_ns: int) -> None:
        """One packet of the source, as it was read."""
        try:
            if opened is not self._opened:
                self.end()
                if self._watch is not None:
                    self._watch.close()
                self._opened = opened
                self._watch = HeaderWatch(opened.stream) if self._can_store(opened) else None
            if self._watch is not None:
                self._add(opened, packet, arrived_ns)
        except FAILURES as error:
            self._fail(error)

    def end(self) -> None:
        """The connection has ended: store its last fragment."""
        muxer, self._muxer = self._muxer, None
        if muxer is None:
            return
        try:
            self._store(muxer, muxer.end())
        except FAILURES as error:
            self._fail(error)

    def _add(self, opened: OpenVideo, packet: "Packet[Any]", arrived_ns: int) -> None:
        is_video = packet.stream_index == opened.stream.index
        if is_video and self._watch is not None and self._watch.changed(packet):
            self.end()
        if self._muxer is not None and is_video and self._muxer.is_far(packet):
            self.end()
        if self._muxer is None and self._watch is not None:
            if not (is_video and packet.is_keyframe):
                return
            self._muxer = FragmentMuxer(opened.stream, self._watch.template, self._sound_of(opened))
            self._base_ns = max(arrived_ns, self._folder.end_ns)
        if self._muxer is not None and self._muxer.takes(packet):
            self._store(self._muxer, self._muxer.add(packet, arrived_ns))

    def _store(self, muxer: FragmentMuxer, fragment: MuxedFragment | None) -> None:
        if fragment is None:
            return
        self._folder.write(muxer.init, fragment, base_ns=self._base_ns)
        if self._is_failing:
            log.info("%s: the newest seconds are kept again for clips", self._camera)
            self._is_failing = False

    def _fail(self, error: Exception) -> None:
        self._muxer = None  # it begins again at the next key frame
        self.lost += 1
        if not self._is_failing:
            self._is_failing = True
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            log.warning("%s: its newest seconds can't be kept for clips (%s)", self._camera, why)

    def _can_store(self, opened: OpenVideo) -> bool:
        codec = opened.stream.codec_context.codec.canonical_name
        return codec in VIDEO_CODECS

    def _sound_of(self, opened: OpenVideo) -> "AudioStream | None":
        if not self.with_sound or not opened.container.streams.audio:
            return None
        audio = opened.container.streams.audio[0]
        if audio.codec_context.codec.canonical_name in AUDIO_CODECS:
            return audio
        log.warning(
            "%s: MP4 can't have its sound (%s), so clips have none; set the camera to AAC",
            *(self._camera, audio.codec_context.codec.canonical_name),
        )
        return None
