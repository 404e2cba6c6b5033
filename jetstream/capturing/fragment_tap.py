"""A camera's packets into its folder of fragments, for clips, while its source is read: nothing is decoded.

Never raises and never waits: what can't be stored is left out, counted and logged.
"""

import logging
from typing import TYPE_CHECKING, Any

from jetstream.capturing import fragment_places
from jetstream.capturing.fragment_writer import FAILURES, FragmentWriter
from jetstream.config.schema import Config, may_be_encoded
from jetstream.video.ffmpeg import OpenVideo
from jetstream.video.gop.fragment_muxer import AUDIO_CODECS, VIDEO_CODECS, FragmentMuxer, HeaderWatch

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

log = logging.getLogger(__name__)


def tap_of(config: Config) -> "FragmentTap | None":
    """The tap of the one camera in `config`; None: its packets are not wanted. What a camera sends is never blurred, so
    with render.blur they aren't."""
    if not config.clips.dir or config.render.blur != "none" or config.pipeline.pace != "live":
        return None
    (camera,) = config.cameras
    writer = fragment_places.writer_to(fragment_places.copied_of(camera.name, config), camera.name, config)
    if writer is None:
        return None
    return FragmentTap(camera.name, writer, with_sound=config.clips.audio, or_encoded=may_be_encoded(camera, config))


class FragmentTap:
    """The tap of one camera. `or_encoded`: what can't be copied is encoded, by the stage `encode`, which is told by the
    folder."""

    def __init__(self, camera: str, writer: FragmentWriter, *, with_sound: bool, or_encoded: bool) -> None:
        self.with_sound = with_sound
        self._camera, self._writer, self._or_encoded = camera, writer, or_encoded
        self._opened: OpenVideo | None = None
        self._muxer: FragmentMuxer | None = None
        self._watch: HeaderWatch | None = None
        self._said: set[str] = set()

    @property
    def lost(self) -> int:
        """How often something could not be stored."""
        return self._writer.lost

    def see(self, opened: OpenVideo, packet: "Packet[Any]", arrived_ns: int) -> None:
        """One packet of the source, as it was read."""
        try:
            if opened is not self._opened:
                self._begin(opened)
            if self._watch is not None:
                self._add(opened, packet, arrived_ns)
        except FAILURES as error:
            self._fail(error)

    def see_no_packets(self) -> None:
        """The source that was opened now has none."""
        try:
            self._writer.folder.clear()
        except OSError as error:
            self._fail(error)

    def end(self) -> None:
        """The connection has ended: store its last fragment."""
        muxer, self._muxer = self._muxer, None
        if muxer is None:
            return
        try:
            self._writer.store(muxer, muxer.end())
        except FAILURES as error:
            self._fail(error)

    def _begin(self, opened: OpenVideo) -> None:
        """A new connection. No frame of it has been written yet, so `encode` sees in time whether it is copied."""
        self.end()
        self._opened = opened
        if self._watch is not None:
            self._watch.close()
        self._watch = None
        codec = opened.stream.codec_context.codec.canonical_name
        if codec in VIDEO_CODECS:
            self._writer.folder.claim()
            self._watch = HeaderWatch(opened.stream)
            return
        self._writer.folder.clear()
        if not self._or_encoded:
            self._warn(f"MP4 can't have its video ({codec}), so there are no clips of it; set the camera to H.264")

    def _add(self, opened: OpenVideo, packet: "Packet[Any]", arrived_ns: int) -> None:
        if self._writer.is_off():
            self._muxer = None
            return
        is_video = packet.stream_index == opened.stream.index
        if is_video and self._watch is not None and self._watch.changed(packet):
            self.end()
        if self._muxer is not None and is_video and self._muxer.is_far(packet):
            self.end()
        if self._muxer is None and self._watch is not None:
            if not (is_video and packet.is_keyframe):
                return
            self._muxer = FragmentMuxer(opened.stream, self._watch.template, self._sound_of(opened))
            self._writer.begin(arrived_ns)
        if self._muxer is not None and self._muxer.takes(packet):
            self._writer.store(self._muxer, self._muxer.add(packet, arrived_ns))

    def _fail(self, error: Exception) -> None:
        self._muxer = None  # it begins again at the next key frame
        self._writer.fail(error)

    def _sound_of(self, opened: OpenVideo) -> "AudioStream | None":
        if not self.with_sound or not opened.container.streams.audio:
            return None
        audio = opened.container.streams.audio[0]
        if audio.codec_context.codec.canonical_name in AUDIO_CODECS:
            return audio
        codec = audio.codec_context.codec.canonical_name
        self._warn(f"MP4 can't have its sound ({codec}), so clips have none; set the camera to AAC")
        return None

    def _warn(self, what: str) -> None:
        """Say it once, and not at each connection."""
        if what not in self._said:
            self._said.add(what)
            log.warning("%s: %s", self._camera, what)
