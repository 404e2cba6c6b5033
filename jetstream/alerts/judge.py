"""Changes of sightings and of cameras to deliveries: what each alert tells of them.

A fold: the same changes in the same order give the same deliveries, live and in a dry run. Time comes with the changes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from jetstream.alerts.book import AlertBook
from jetstream.alerts.occasions import Occasion, of_sighting
from jetstream.alerts.rules import AlertRule, MarkedOccasion, of_camera
from jetstream.events import iso_ns
from jetstream.sighting import Change, Sighting, SightingMessage

BACK_S: Final = 5.0
"""a camera that was told to be down is back when its newest frame isn't older"""


class AlertSink(Protocol):
    """Where alerts are put that are to be told."""

    def add(self, alert: str, occasion: Occasion) -> int:
        """Take one; how many others were dropped for it."""


class AlertJudge:
    """What the alerts tell. Every call within one transaction of the file of alerts; raises sqlite3.Error.

    was_seen  whether a sighting shows a stranger who has earlier ones
    """

    def __init__(
        self,
        rules: Sequence[AlertRule],
        book: AlertBook,
        sink: AlertSink,
        was_seen: Callable[[Sighting], bool],
    ) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._book, self._sink, self._was_seen = book, sink, was_seen
        self.dropped = 0  # deliveries for which there was no room
        self.from_ns = 0  # what happened before is told to nobody

    def take(self, message: SightingMessage) -> None:
        """A change, the next one after those taken before; one that was taken already changes nothing."""
        if not self._book.is_new(message.epoch, message.seq):
            return
        self._change(message.change, iso_ns(message.wall), message.sighting)
        self._book.advance(message.epoch, message.seq)

    def passed(self, now_ns: int) -> None:
        """Tell as unknown those who got no name in time. All changes until then were taken."""
        self._tell_waiting(now_ns)

    def saw_zones(self, sighting: Sighting) -> None:
        """An open sighting as it is now: its zones are no changes."""
        for rule in self._rules.values():
            self._tell(rule, rule.of_zones(sighting))

    def saw_cameras(self, silent_s: Mapping[str, float], areas: Mapping[str, str], now_ns: int) -> None:
        """How long each camera has given no frames."""
        for rule in self._rules.values():
            if rule.tells("camera_down"):
                for camera, since_s in silent_s.items():
                    self._saw_camera(rule, camera, areas.get(camera, camera), since_s, now_ns)

    def _change(self, change: Change, at_ns: int, sighting: Sighting) -> None:
        self._tell_waiting(at_ns)
        if change == "exit" and sighting.name is None:
            self._tell_waiting(at_ns, sighting.id)  # it was shorter than a name needs
        if sighting.name is not None or change == "merged" or sighting.correction == "ignore":
            self._book.recognised(sighting.id)
        elif change == "stranger":
            self._book.numbered(sighting.id, sighting.stranger)
        asks = change == "stranger" and any(rule.tells("stranger_again") for rule in self._rules.values())
        was_seen = asks and self._was_seen(sighting)
        for rule in self._rules.values():
            self._tell(rule, rule.of_change(change, at_ns, sighting, was_seen=was_seen))
            if rule.waits_for_name(change, sighting):
                due_ns = at_ns + round(rule.config.unknown_after_s * 1e9)
                self._book.wait(rule, of_sighting("unknown", at_ns, sighting), due_ns)

    def _tell_waiting(self, now_ns: int, sighting: str = "") -> None:
        for waiting in self._book.due(now_ns, sighting):
            if (rule := self._rules.get(waiting.alert)) is not None:
                self._tell(rule, [MarkedOccasion(waiting.occasion, "unknown")])

    def _saw_camera(self, rule: AlertRule, camera: str, area: str, since_s: float, now_ns: int) -> None:
        was_down = self._book.is_down(rule.name, camera)
        is_down = since_s >= rule.config.down_s or (was_down and since_s > BACK_S)
        if is_down != was_down:
            told = self._tell(rule, [MarkedOccasion(of_camera(camera, area, now_ns, is_down=is_down), "")])
            if told or not is_down:
                self._book.set_down(rule.name, camera, is_down=is_down)

    def _tell(self, rule: AlertRule, found: Iterable[MarkedOccasion]) -> list[Occasion]:
        recent = (marked for marked in found if marked.occasion.at_ns >= self.from_ns)
        told = [marked.occasion for marked in recent if self._book.takes(rule, marked)]
        for occasion in told:
            self.dropped += self._sink.add(rule.name, occasion)
        return told
