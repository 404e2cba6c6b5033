"""The alerts of a running pipeline: changes in, deliveries out. What goes wrong with its files is said once and tried
again; nothing here ends."""

import contextlib
import logging
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from jetstream.alerts import alert_file, message
from jetstream.alerts.book import AlertBook
from jetstream.alerts.camera_watch import CameraWatch
from jetstream.alerts.delivery_desk import DeliveryDesk
from jetstream.alerts.destinations import destination_of
from jetstream.alerts.erasure import drop_gone
from jetstream.alerts.history import open_in_zones, was_seen
from jetstream.alerts.judge import AlertJudge
from jetstream.alerts.message import AlertMessage
from jetstream.alerts.outbox import OLDEST_NS, AlertOutbox, Delivery
from jetstream.alerts.rules import AlertRule
from jetstream.config.schema import Config, area_of
from jetstream.errors import JetstreamError
from jetstream.messages import Status
from jetstream.sighting import Sighting
from jetstream.sightings import database, lock
from jetstream.sightings.change_queue import ChangeQueue
from jetstream.sightings.database import transaction

RETRY_S: Final = 2.0
"""time between two attempts to open or write the file"""
SETTLED_NS: Final = 1_000_000_000
"""how long after a moment all changes until then are there to be read"""
MOST_LISTS: Final = 5
"""of changes that one turn evaluates"""
ZONES_EVERY_S: Final = 0.5
SWEEP_EVERY_S: Final = 600.0
LAST_TRIES_S: Final = 2.0
"""how long an end waits for deliveries under way"""

log = logging.getLogger(__name__)


class AlertService:
    """The alerts of `config`. Times are of time.monotonic(), dates of time.time_ns()."""

    def __init__(self, config: Config) -> None:
        self._folder = Path(config.sightings.dir)
        self._rules = [AlertRule(alert) for alert in config.alerts]
        self._looks = {alert.name: alert.looks for alert in config.alerts}
        self._areas = {camera.name: area_of(camera) for camera in config.cameras}
        self._zones = sorted({zone for alert in config.alerts for zone in alert.zones})
        self._longest_s = max((alert.cooldown_s for alert in config.alerts), default=0.0)
        self._changes = ChangeQueue(self._folder, "alerts")
        self._watch = CameraWatch(self._areas, time.monotonic_ns())
        self._opened = ExitStack()
        self._desk = DeliveryDesk(
            {alert.name: destination_of(alert, config) for alert in config.alerts}, self._composed
        )
        self._parts: tuple[AlertJudge, sqlite3.Connection] | None = None
        self._next_s = self._zones_s = self._sweep_s = 0.0
        self._is_failing = False
        self._dropped = 0

    def turn(self, now_s: float, now_ns: int, status: Status | None) -> None:
        """Do what is due. `status`: a new one of the supervisor."""
        if now_s < self._next_s:
            return
        try:
            judge, connection = self._parts or self._open()
            judge.from_ns = now_ns - OLDEST_NS  # it may be long since alerts were on
            if self._take(judge, connection, now_s):
                self._look(judge, connection, now_s, now_ns)
            if status is not None:
                with transaction(connection):
                    judge.saw_cameras(self._watch.saw(status), self._areas, now_ns)
            self._say_dropped(judge)
            self._sweep(connection, now_s, now_ns)
            self._desk.turn(connection, now_ns)
        except (JetstreamError, OSError, sqlite3.Error) as error:
            self._fail(error, now_s)
        else:
            if self._is_failing:
                log.info("%s: alerts go on; nothing is missing", self._folder)
            self._is_failing = False

    def wait(self, longest_s: float) -> None:
        """Wait until there may be something to do."""
        self._desk.wait(longest_s)

    def close(self) -> None:
        """Note what was sent, and close the files."""
        if self._parts is not None:
            with contextlib.suppress(sqlite3.Error):  # it is sent again then
                self._desk.close(self._parts[1], LAST_TRIES_S)
        self._leave()
        self._changes.close()

    def _take(self, judge: AlertJudge, connection: sqlite3.Connection, now_s: float) -> bool:
        """Evaluate the next changes; whether there are no more. After a long stop there may be very many, and the work
        loop has to beat in between."""
        for _ in range(MOST_LISTS):
            if not (found := self._changes.look(now_s)):
                return True
            with transaction(connection):
                for change in found:
                    judge.take(change)
            self._changes.done(found[-1])
        return False

    def _look(self, judge: AlertJudge, connection: sqlite3.Connection, now_s: float, now_ns: int) -> None:
        """Evaluate what is no change: zones, and the time that has passed."""
        sightings: list[Sighting] = []
        if self._zones and now_s >= self._zones_s and database.is_there(self._folder):
            self._zones_s = now_s + ZONES_EVERY_S
            with database.opened(self._folder) as connected:
                sightings = open_in_zones(connected, self._zones)
        with transaction(connection):
            for sighting in sightings:
                judge.saw_zones(sighting)
            judge.passed(now_ns - SETTLED_NS)

    def _sweep(self, connection: sqlite3.Connection, now_s: float, now_ns: int) -> None:
        if now_s >= self._sweep_s and database.is_there(self._folder):
            self._sweep_s = now_s + SWEEP_EVERY_S
            drop_gone(connection, self._folder)
            with transaction(connection):
                AlertBook(connection).drop_old(now_ns, self._longest_s)

    def _open(self) -> tuple[AlertJudge, sqlite3.Connection]:
        """Raises JetstreamError, OSError, sqlite3.Error."""
        with ExitStack() as opened:
            opened.enter_context(lock.held(self._folder / "outbox.lock"))
            connection = opened.enter_context(alert_file.opened(self._folder))
            outbox = AlertOutbox(connection)
            with transaction(connection):
                outbox.keep_only([rule.name for rule in self._rules])
            judge = AlertJudge(self._rules, AlertBook(connection), outbox, self._was_seen)
            self._opened = opened.pop_all()
        self._parts = judge, connection
        self._dropped = 0
        return self._parts

    def _composed(self, delivery: Delivery) -> AlertMessage | None:
        looks = self._looks[delivery.alert]
        if not delivery.sighting:
            return message.composed(delivery, None, self._folder, self._areas, looks=looks)
        if not database.is_there(self._folder):
            return None
        with database.opened(self._folder) as connection:
            return message.composed(delivery, connection, self._folder, self._areas, looks=looks)

    def _was_seen(self, sighting: Sighting) -> bool:
        with database.opened(self._folder) as connection:
            return was_seen(connection, sighting)

    def _say_dropped(self, judge: AlertJudge) -> None:
        if judge.dropped and not self._dropped:
            log.warning(
                "%s: more alerts wait than are kept; the oldest are dropped, `jetstream alerts list` counts them",
                self._folder,
            )
        self._dropped = judge.dropped

    def _fail(self, error: Exception, now_s: float) -> None:
        self._next_s = now_s + RETRY_S
        self._changes.rewind()
        self._leave()
        if not self._is_failing:
            self._is_failing = True
            why = error if isinstance(error, JetstreamError) else f"{self._folder}: {error}"
            log.warning("%s; alerts wait, and everything else goes on", why)

    def _leave(self) -> None:
        self._parts = None
        self._opened.close()
