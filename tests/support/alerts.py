"""Configs with alerts, and sightings to be told."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from jetstream.alerts import alert_file
from jetstream.alerts.outbox import AlertCounts, AlertOutbox, Delivery
from jetstream.alerts.service import AlertService
from jetstream.config.schema import Config
from jetstream.messages import Status
from jetstream.sighting import Sighting
from tests.support.sightings import config_with
from tests.support.waiting import wait_until

STRANGER = Sighting(
    id="01M8JFTDB6GVM5814RJ14Y24CN",
    camera="door",
    area="hall",
    state="open",
    name=None,
    machine_name=None,
    stranger=3,
    begin="2026-11-29T11:59:55.000Z",
    end="2026-11-29T12:00:00.000Z",
    begin_s=0.0,
    end_s=5.0,
    confidence=0.0,
    correction="",
)
ADA = Sighting(
    id="01M8JFTDB6GVM5814RJ14Y24CP",
    camera="door",
    area="hall",
    state="open",
    name="Ada",
    machine_name="Ada",
    stranger=None,
    begin="2026-11-29T11:59:55.000Z",
    end="2026-11-29T12:00:00.000Z",
    begin_s=0.0,
    end_s=5.0,
    confidence=0.9,
    correction="",
)


def ns(iso: str) -> int:
    return round(datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp() * 1000) * 1_000_000


def alert(name: str, *when: str, **keys: Any) -> dict[str, Any]:
    """The table of an alert that goes to this machine."""
    return {"name": name, "when": list(when), "cooldown_s": 0, "private": True, **keys}


def alerting(folder: Path, *alerts: dict[str, Any], **tables: Any) -> Config:
    """A config of camera `a` with these alerts."""
    return config_with(folder, "a", alerts=list(alerts), **tables)


class ServiceRun:
    """The alerts of a config at work, as the sidecar has them; its time goes on with each turn."""

    def __init__(self, config: Config, later_s: float = 0.0) -> None:
        self.service = AlertService(config)
        self.now_s = 1000.0
        self.turn(later_s=later_s)

    def turn(
        self, *, passed_s: float = 1.0, later_s: float = 0.0, status: Status | None = None, now_ns: int | None = None
    ) -> None:
        """A turn of the work loop after `passed_s`, with the wall clock `later_s` ahead, or at `now_ns`."""
        self.now_s += passed_s
        self.service.turn(self.now_s, (now_ns or time.time_ns()) + round(later_s * 1e9), status)

    def until(
        self, is_so: Callable[[], object], *, later_s: float = 0.0, each_s: float = 0.0, now_ns: int | None = None
    ) -> None:
        """Turns until it is so; `each_s`: by which the wall clock goes on with each."""
        ahead_s = itertools.count()

        def turned() -> object:
            self.turn(later_s=later_s + next(ahead_s) * each_s, now_ns=now_ns)
            return is_so()

        wait_until(turned)

    def close(self) -> None:
        self.service.close()


@contextlib.contextmanager
def running(config: Config, later_s: float = 0.0) -> Iterator[ServiceRun]:
    run = ServiceRun(config, later_s)
    try:
        yield run
    finally:
        run.close()


def waiting(config: Config) -> list[Delivery]:
    """The deliveries that wait in the file."""
    with alert_file.opened(Path(config.sightings.dir)) as connection:
        return AlertOutbox(connection).all()


def counts(config: Config, alert: str = "a") -> AlertCounts:
    with alert_file.opened(Path(config.sightings.dir)) as connection:
        return AlertOutbox(connection).counts(alert)
