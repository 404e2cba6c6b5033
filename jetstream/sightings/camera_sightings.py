"""Which sighting each track of one camera belongs to, in the messages of `track`. Knows no database."""

from collections.abc import Callable, Mapping

import msgspec

from jetstream.config.schema import Config
from jetstream.messages import NamedFace, Tracked
from jetstream.sightings.ids import SightingIds
from jetstream.vision.tracking.exchanges import FaceExchanges
from jetstream.vision.tracking.visits import SightingFinder, VisitTrack


class CameraSightings:
    """The open sightings of a camera."""

    def __init__(self, config: Config) -> None:
        settings = config.sightings
        self._finder = SightingFinder(confirm_s=settings.confirm_s, absence_s=settings.absence_s)
        self._ids = SightingIds(by_content=config.pipeline.pace == "every-frame")

    def heard(self, face: NamedFace, current: Callable[[int], int], time_s: float) -> None:
        """Take what recognition says of a face in the frame at `time_s`. `current`: the id that a track has now."""
        if face.before is not None:
            self._finder.exchanged(face.track_id, face.before)
        if face.returned is not None:
            self._finder.returned(face.track_id, current(face.returned))
        if face.same:
            self._finder.stayed(face.track_id, time_s)

    def rejoined(self, changed: Mapping[int, int]) -> None:
        """Take the ids under which tracks go on, by the ids that they had."""
        self._finder.rejoined(changed)

    def placed(self, tracked: Tracked, exchanges: FaceExchanges, slowness: float) -> Tracked:
        """The same frame, with the sighting of each track, and what became of others. `slowness`: see FrameRate."""
        seen = [
            VisitTrack(
                face.track_id,
                face.state == "confirmed",
                face.age_s,
                face.name,
                face.doubtful,
                exchanges.count(face.track_id),
                exchanges.jumped(face.track_id),
            )
            for face in tracked.faces
        ]
        found = self._finder.saw(seen, tracked.frame.time_s, self._ids.for_frame(tracked), slowness=slowness)
        faces = tuple(
            msgspec.structs.replace(face, sighting=found.get(face.track_id)) if face.track_id in found else face
            for face in tracked.faces
        )
        merged = tuple((merge.sighting_id, merge.into) for merge in self._finder.merged)
        return msgspec.structs.replace(tracked, faces=faces, merged=merged, ended=self._finder.ended)
