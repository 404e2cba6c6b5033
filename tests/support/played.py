"""Plays a film into a camera's folder of fragments, and makes its clips, on a clock of its own: no test waits."""

from pathlib import Path
from typing import Any

from jetstream.capturing import fragment_places
from jetstream.capturing.fragment_tap import FragmentTap
from jetstream.capturing.fragment_writer import FragmentWriter
from jetstream.clips import library
from jetstream.clips.camera_clips import CameraClips, Now
from jetstream.clips.library import StoredClip
from jetstream.config.schema import ClipsConfig, Config, MqttConfig, PipelineConfig, run_dir
from jetstream.events import iso_ns
from jetstream.runtime import switches
from jetstream.runtime.run_dir import SWITCHES
from jetstream.runtime.switches import CameraSwitch, CameraSwitches
from jetstream.video.ffmpeg import open_file
from jetstream.video.gop.fragment_folder import FragmentFolder

BEGIN_NS = 1_000_000_000_000
WALL_NS = 1_790_000_000_000_000_000
KEEP_S = 20.0


class PlayedCamera:
    """A camera that sends films. Times are in s since the start."""

    def __init__(
        self, folder: Path, *, keep_s: float = KEEP_S, most_bytes: int = 10**8, sound: bool = False, **clips: Any
    ):
        self.settings = ClipsConfig(dir=str(folder / "clips"), **clips)
        self.fragments = folder / "fragments"
        self._keep_s, self._most_bytes, self._sound = keep_s, most_bytes, sound
        self._config = Config(pipeline=PipelineConfig(run_dir=str(folder)), mqtt=MqttConfig(commands=True))
        self._switches = CameraSwitches(self._config)
        self.begin_capture()
        self.begin_clips()
        self.now_s = 0.0

    def begin_capture(self) -> None:
        """`capture` starts, perhaps again."""
        folder = FragmentFolder(self.fragments, keep_ns=round(self._keep_s * 1e9), most_bytes=self._most_bytes)
        self.tap = FragmentTap(
            "hall", FragmentWriter("hall", folder, self._switches), with_sound=self._sound, or_encoded=False
        )

    def begin_clips(self) -> None:
        """`clips` starts, perhaps again."""
        self.clips = CameraClips("hall", self.settings, (self.fragments,), "boot")

    def switch(self, **given: bool) -> None:
        """Switch the camera by hand, as over MQTT."""
        switches.write(run_dir(self._config) / SWITCHES, {"hall": CameraSwitch(**given)})

    def enter(self, id_: str, begin_s: float) -> None:
        self.clips.schedule.enter(id_, self.ns(begin_s))

    def leave(self, id_: str, end_s: float) -> None:
        self.clips.schedule.leave(id_, self.ns(end_s))

    def resume(self) -> None:
        """Go on with the clips that are unfinished."""
        for clip in self.stored():
            if clip.info.unfinished is not None:
                self.clips.resume(clip.video, clip.info)

    def play(self, film: Path, until_s: float | None = None) -> None:
        """Send a film from now on, in its own time; up to a moment."""
        opened = open_file(film)
        begin_s = self.now_s
        packets = opened.container.demux(*(() if self._sound else (opened.stream,)))
        self._packets = ((opened, begin_s, packet) for packet in packets if packet.size)
        self.play_on(until_s)

    def play_on(self, until_s: float | None = None) -> None:
        """Go on with the film, up to a moment; without one to its end."""
        for opened, begin_s, packet in self._packets:
            at_s = begin_s + max(float(packet.dts * packet.time_base), 0.0)
            self.wait_until(at_s)
            self.tap.see(opened, packet, self.ns(at_s))
            if until_s is not None and at_s >= until_s:
                return

    def wait_until(self, at_s: float) -> None:
        """Nothing is sent until then; clips has its turns."""
        while self.now_s < at_s:
            self.now_s = min(self.now_s + 0.25, at_s)
            self.turn()

    def turn(self) -> None:
        self.clips.turn(self.clock)

    @property
    def clock(self) -> Now:
        return Now(self.ns(self.now_s), WALL_NS + round(self.now_s * 1e9))

    @staticmethod
    def ns(at_s: float) -> int:
        return BEGIN_NS + round(at_s * 1e9)

    def stored(self) -> list[StoredClip]:
        return list(library.clips_in(Path(self.settings.dir)))


def begin_s(clip: StoredClip) -> float:
    """When a clip begins, by its description."""
    return (iso_ns(clip.info.begin) - WALL_NS) * 1e-9


def sent(film: Path, camera: str, config: Config, *, until_ns: int) -> None:
    """A film that a camera has sent, in its own time, until that moment (CLOCK_MONOTONIC)."""
    writer = fragment_places.writer_to(fragment_places.copied_of(camera, config), camera, config)
    assert writer is not None
    tap, opened = FragmentTap(camera, writer, with_sound=False, or_encoded=False), open_file(film)
    packets = [packet for packet in opened.container.demux(opened.stream) if packet.size]
    times_s = [float(packet.dts * packet.time_base) for packet in packets]
    for packet, time_s in zip(packets, times_s, strict=True):
        tap.see(opened, packet, until_ns + round((time_s - times_s[-1]) * 1e9))
    tap.end()
