"""Sends what is due: of each alert one delivery at a time, in order, each try in a thread of its own.

So a receiver that hangs holds up its own alert alone, for its time limit. The file is changed by the caller's thread.
A process that is killed between a try and the note of it tries again with the same id: at least once.
"""

import logging
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from jetstream.alerts.destinations import AlertDestination, DeliveryOutcome
from jetstream.alerts.message import AlertMessage
from jetstream.alerts.outbox import LONGEST_RETRY_S, OLDEST_NS, AlertOutbox, Delivery, retry_s
from jetstream.sightings.database import transaction

MOST_REFUSALS: Final = 3
"""tries of a delivery that its receiver refuses as such; the next ones shall not wait for it"""

log = logging.getLogger(__name__)


def is_due(delivery: Delivery, now_ns: int) -> bool:
    """Whether it is time to try a delivery. One that is further ahead than any retry waits for a clock that was set
    back since."""
    return not 0 < delivery.next_ns - now_ns < 2 * LONGEST_RETRY_S * 1e9


class DoneTry(NamedTuple):
    """A try that has ended."""

    delivery: Delivery
    outcome: DeliveryOutcome


class DeliveryDesk:
    """The deliveries under way. Its calls take the open file of alerts, and raise sqlite3.Error.

    compose  the message of a delivery; None: there is nothing to tell any more
    """

    def __init__(
        self,
        destinations: Mapping[str, AlertDestination],
        compose: Callable[[Delivery], AlertMessage | None],
        rng: random.Random | None = None,
    ) -> None:
        self._destinations, self._compose = destinations, compose
        self._rng = rng or random.Random()
        self._under_way: set[str] = set()
        self._done: queue.SimpleQueue[DoneTry] = queue.SimpleQueue()
        self._woken = threading.Event()
        self._failing: dict[str, int] = {}  # alerts whose newest try failed: how many were dropped meanwhile

    def turn(self, connection: sqlite3.Connection, now_ns: int) -> None:
        """Note what became of the tries, and begin those that are due."""
        self._note_done(connection, now_ns)
        for alert, destination in self._destinations.items():
            if alert not in self._under_way and (delivery := self._next(connection, alert, now_ns)) is not None:
                self._begin(connection, delivery, destination)

    def wait(self, longest_s: float) -> None:
        """Wait until a try has ended."""
        self._woken.wait(longest_s)
        self._woken.clear()

    def close(self, connection: sqlite3.Connection, wait_s: float) -> None:
        """Wait for tries under way, and note them: what isn't noted is sent again at the next start."""
        end_s = time.monotonic() + wait_s
        while self._under_way and time.monotonic() < end_s:
            self.wait(0.1)
            self._note_done(connection, time.time_ns())

    def _next(self, connection: sqlite3.Connection, alert: str, now_ns: int) -> Delivery | None:
        """The oldest delivery of an alert, if it is to be tried now. Drops those that are too old."""
        outbox = AlertOutbox(connection)
        while (delivery := outbox.first(alert)) is not None and now_ns - delivery.at_ns > OLDEST_NS:
            with transaction(connection):
                outbox.drop(delivery)
            if not self._failing.get(alert):
                log.warning("alert %s: what couldn't be sent for 24 h is dropped", alert)
            self._failing[alert] = self._failing.get(alert, 0) + 1
        return delivery if delivery is not None and is_due(delivery, now_ns) else None

    def _begin(self, connection: sqlite3.Connection, delivery: Delivery, destination: AlertDestination) -> None:
        message = self._compose(delivery)
        if message is None:
            with transaction(connection):
                AlertOutbox(connection).withdraw(delivery)
            return
        self._under_way.add(delivery.alert)
        arguments = (delivery, destination, message)
        threading.Thread(target=self._try, args=arguments, name=f"alert {delivery.alert}", daemon=True).start()

    def _try(self, delivery: Delivery, destination: AlertDestination, message: AlertMessage) -> None:
        """In a thread of its own."""
        outcome = DeliveryOutcome(False, "the try failed by a fault of jetstream; its log has more")
        try:
            outcome = destination.send(message, int(time.time()))
        finally:
            self._done.put(DoneTry(delivery, outcome))
            self._woken.set()

    def _note_done(self, connection: sqlite3.Connection, now_ns: int) -> None:
        while not self._done.empty():
            done = self._done.get()
            self._under_way.discard(done.delivery.alert)
            with transaction(connection):
                self._note(AlertOutbox(connection), done, now_ns)

    def _note(self, outbox: AlertOutbox, done: DoneTry, now_ns: int) -> None:
        delivery, outcome = done
        if outcome.is_sent:
            outbox.sent(delivery, now_ns)
            if delivery.alert in self._failing:
                log.info("alert %s: is sent again; %d were dropped", delivery.alert, self._failing.pop(delivery.alert))
            return
        if delivery.alert not in self._failing:
            self._failing[delivery.alert] = 0
            printed = f" and printed: {outcome.output}" if outcome.output else ""
            log.warning(
                "alert %s: can't be sent: %s%s; it is tried again for 24 h", delivery.alert, outcome.said, printed
            )
        asked_s = min(outcome.retry_after_s or 0.0, LONGEST_RETRY_S)
        outbox.failed(delivery, outcome.said, now_ns, max(asked_s, retry_s(delivery.tries, self._rng)))
        if outcome.is_refused and delivery.tries + 1 >= MOST_REFUSALS:
            outbox.drop(delivery)
            self._failing[delivery.alert] += 1
