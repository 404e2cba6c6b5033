"""The ticks of a process that no message drives, and what it reports by them.

Knows the process's heartbeat; knows no stage.
"""

from collections.abc import Callable, Iterator

from jetstream.messages import Message, Tick
from jetstream.runtime.heartbeat import HeartbeatSender


class Patience:
    """Tells the supervisor of a call that may take long: see `PatientTicks`."""

    def __init__(self, heartbeat: HeartbeatSender) -> None:
        self._heartbeat = heartbeat
        self._asked_s = 0.0

    def turned(self) -> None:
        """The stage asks for its next message or tick."""
        self._heartbeat.patience_s, self._asked_s = self._asked_s, 0.0

    def opens(self, limit_s: float) -> None:
        """Told to the supervisor at once, unless it knows already."""
        self._asked_s = limit_s
        if self._heartbeat.patience_s != limit_s:
            self._heartbeat.patience_s = limit_s
            self._heartbeat.beat_now()


class Ticks(Iterator[Tick]):
    """The ticks that drive a process without input: one for each turn of its work loop. See `PatientTicks` and
    `ReportingTicks`."""

    def __init__(self, heartbeat: HeartbeatSender, stop: Callable[[], bool]) -> None:
        self._heartbeat, self._stop = heartbeat, stop
        self._patience = Patience(heartbeat)
        self.opens = self._patience.opens

    def __next__(self) -> Tick:
        if self._stop():
            raise StopIteration
        self._patience.turned()
        self._heartbeat.beat()
        return Tick()

    def report(self, message: Message) -> None:
        """Counted, and sent with the next heartbeat."""
        self._heartbeat.count(message)
