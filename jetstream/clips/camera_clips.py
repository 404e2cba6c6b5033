"""The clips of one camera: begun when a sighting is wanted, grown as the camera sends, finished when it is over.

Never waits: what isn't there yet is taken in the next turn. Knows no database.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import av
import msgspec

from jetstream.clips import clip_info, clip_start
from jetstream.clips.clip_info import SCHEMA, ClipInfo, UnfinishedClip
from jetstream.clips.finishing import finish
from jetstream.clips.open_clip import OpenClip
from jetstream.clips.schedule import ClipSchedule
from jetstream.config.schema import ClipsConfig
from jetstream.events import iso_ns, iso_time
from jetstream.recording.outage import Outage
from jetstream.video.gop.fragment_folder import StoredFragment, fragments_in

SILENT_NS: Final = 5_000_000_000
"""a camera that has sent nothing for so long ends its clip, once that is due"""
PATIENCE_NS: Final = 30_000_000_000
"""how long a key frame is waited for before a clip can't be made"""

log = logging.getLogger(__name__)


class Now(NamedTuple):
    """The clocks, read together."""

    ns: int  # CLOCK_MONOTONIC
    wall_ns: int

    def wall(self, at_ns: int) -> int:
        """The wall clock's time of a moment."""
        return self.wall_ns + at_ns - self.ns


class CameraClips:
    """`folders`: where the camera's fragments may be, the best first."""

    def __init__(self, camera: str, settings: ClipsConfig, folders: tuple[Path, ...], boot: str) -> None:
        self.schedule = ClipSchedule(round(settings.pre_s * 1e9), round(settings.post_s * 1e9))
        self._camera, self._settings, self._folders, self._boot = camera, settings, folders, boot
        self._open: OpenClip | None = None
        self._finishing: list[Iterator[None]] = []
        self._outage = Outage(camera, Path(settings.dir))

    @property
    def is_finishing(self) -> bool:
        """Whether there is a step to be done in the next turn."""
        return bool(self._finishing)

    def resume(self, video: Path, info: ClipInfo) -> None:
        """Go on with a clip that a process left, or finish it where that can't be. Raises OSError."""
        clip = OpenClip.resume(video, info)
        if clip is None:
            video.unlink(missing_ok=True)
            clip_info.info_of(video).unlink(missing_ok=True)
            return
        if clip.work.boot == self._boot and self._open is None and self.schedule.is_wanted:
            self._open = clip
        else:
            self._finish(clip, None, None)

    def turn(self, now: Now) -> None:
        """Do what can be done now. Nothing is lost where the disk is full for less than the newest seconds."""
        now_s = now.ns * 1e-9
        for finishing in self._finishing[:1]:
            if next(finishing, self) is self:
                self._finishing.remove(finishing)
        if self.schedule.is_wanted and not self._outage.is_on(now_s):
            self._try_to_grow(now, now_s)

    def end(self, now: Now) -> None:
        """The run ends: finish what there is."""
        now_s = now.ns * 1e-9
        if self.schedule.is_wanted and not self._outage.is_on(now_s):
            self._try_to_grow(now, now_s)
        if self._open is not None:
            self._finish(self._open, None, now.wall_ns)
        for finishing in self._finishing:
            for _ in finishing:
                pass

    def _try_to_grow(self, now: Now, now_s: float) -> None:
        try:
            self._grow(now)
        except (OSError, ValueError) as error:
            self._outage.begin(error, now_s)
        else:
            self._outage.end(now_s)

    def _grow(self, now: Now) -> None:
        folder, fragments = self._fragments()
        if self._open is not None and not self._open.is_there:
            self._open.close()
            self._open = None
            self.schedule.clear()
            return
        if self._open is None and not self._begin(folder, fragments, now):
            return
        clip = self._open
        assert clip is not None
        for sighting_id in self.schedule.ids:
            clip.add_sighting(sighting_id)
        if str(folder) != clip.work.fragments:
            self._go_over(clip, folder, fragments, now)
            return
        for one in fragments:
            if one.number <= clip.newest:
                continue
            if one.header != clip.work.header or self._is_long(clip, one):
                self._next_part(clip, folder, one, now)
                return
            if (content := one.read(folder)) is not None:
                clip.append(one, content[1])
        self._end_if_due(clip, fragments, now)

    def _fragments(self) -> tuple[Path, list[StoredFragment]]:
        for folder in self._folders:
            if found := fragments_in(folder):
                return folder, found
        return self._folders[0], []

    def _begin(self, folder: Path, fragments: list[StoredFragment], now: Now) -> bool:
        """Begin the clip that is wanted; whether that was possible."""
        begin_ns = self.schedule.begin_ns
        start = clip_start.start_at(fragments, self.schedule.from_ns, begin_ns)
        until_ns = self.schedule.until_ns
        if start is None or (until_ns is not None and start.arrived_ns > until_ns):
            if until_ns is not None and now.ns > until_ns + PATIENCE_NS:
                log.warning("%s: no clip of %s: its pictures are gone", self._camera, ", ".join(self.schedule.ids))
                self.schedule.part_done(now.ns)
            return False
        pre_s = max((begin_ns - start.arrived_ns) * 1e-9, 0.0)
        self._open_at(folder, fragments[start.first], start, now, pre_s)
        return self._open is not None

    def _open_at(
        self, folder: Path, first: StoredFragment, start: clip_start.ClipStart, now: Now, pre_s: float
    ) -> None:
        content = first.read(folder)
        if content is None:  # removed just now: the next turn sees what is there
            return
        wall_ns = now.wall(start.arrived_ns)
        video = clip_info.path_of(Path(self._settings.dir), self._camera, wall_ns)
        work = UnfinishedClip(str(folder), first.header, self._boot, first.begin_ns, start.start_ns)
        info = ClipInfo(
            SCHEMA,
            self._camera,
            "open",
            self.schedule.ids,
            iso_time(wall_ns),
            None,
            round(pre_s, 3),
            start.short,
            unfinished=work,
        )
        self._open = OpenClip.begin(video, info, content[0])
        self._open.append(first, content[1])

    def _is_long(self, clip: OpenClip, one: StoredFragment) -> bool:
        return one.is_key and one.begin_ns - clip.work.start_ns > self._settings.part_s * 1e9

    def _go_over(self, clip: OpenClip, folder: Path, fragments: list[StoredFragment], now: Now) -> None:
        """The camera's fragments are in another folder now: go on with the first one that goes on longer."""
        later = [one for one in fragments if one.is_key and one.end_ns > clip.end_ns]
        if later:
            self._next_part(clip, folder, later[0], now)
        else:
            self._end_if_due(clip, [], now)

    def _next_part(self, clip: OpenClip, folder: Path, first: StoredFragment, now: Now) -> None:
        """Another clip goes on where this one ends: at a key frame."""
        self._finish(clip, None, now.wall(first.first_ns))
        self._open = None
        start = clip_start.ClipStart(0, first.begin_ns, first.first_ns, "")
        if first.is_key:
            self._open_at(folder, first, start, now, 0.0)

    def _end_if_due(self, clip: OpenClip, fragments: list[StoredFragment], now: Now) -> None:
        until_ns = self.schedule.until_ns
        if until_ns is None or now.ns < until_ns:
            return
        newest_ns = fragments[-1].last_ns if fragments else 0
        if newest_ns < until_ns and now.ns < until_ns + SILENT_NS:
            return
        end_ns = clip_start.moment_of(fragments, until_ns) if fragments and newest_ns >= until_ns else None
        self._finish(clip, end_ns, now.wall(min(until_ns, newest_ns or until_ns)))
        self._open = None
        self.schedule.part_done(now.ns)

    def _finish(self, clip: OpenClip, end_ns: int | None, wall_end_ns: int | None) -> None:
        """Have it finished, a step in each turn."""
        clip.close()
        self._finishing.append(self._finished(clip, end_ns, wall_end_ns))

    def _finished(self, clip: OpenClip, end_ns: int | None, wall_end_ns: int | None) -> Iterator[None]:
        work = clip.work
        end_s = None if end_ns is None else (end_ns - work.zero_ns) * 1e-9
        try:
            yield from finish(clip.video, work.start_s, end_s)
        except (OSError, av.FFmpegError) as error:
            if not clip.is_there:
                return
            log.warning("%s: it can be played, but begins earlier than it should (%s)", clip.video, error)
        wall_end_ns = wall_end_ns or iso_ns(clip.info.begin) + clip.end_ns - work.start_ns
        info = msgspec.structs.replace(clip.info, state="ended", end=iso_time(wall_end_ns), unfinished=None)
        path = clip_info.info_of(clip.video)
        if not path.exists():  # `jetstream forget` erased it meanwhile, and the video before it was replaced
            clip.video.unlink(missing_ok=True)
            return
        try:
            clip_info.write(path, info)
        except OSError as error:
            log.warning("%s: %s; it is finished at the next start", path, error.strerror)
