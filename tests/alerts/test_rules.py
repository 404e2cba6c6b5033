"""What an alert tells of a change, at which time of day and where."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from jetstream.alerts.rules import AlertRule
from jetstream.config.schema import AlertConfig
from jetstream.sighting import Change, Sighting, ZoneVisit
from tests.support.alerts import ADA, STRANGER, ns

BERLIN = ZoneInfo("Europe/Berlin")


def rule(*when: str, **keys: Any) -> AlertRule:
    config = msgspec.convert({"name": "a", "when": when, "webhook": "https://example.com", **keys}, AlertConfig)
    return AlertRule(config, BERLIN)


def marks(rule: AlertRule, change: Change, sighting: Sighting, *, was_seen: bool = False) -> list[tuple[str, str]]:
    found = rule.of_change(change, ns("2026-11-29T12:00:00Z"), sighting, was_seen=was_seen)
    return [(one.occasion.kind, one.mark) for one in found]


def test_enter_is_told_of_everybody_at_once() -> None:
    assert marks(rule("enter"), "enter", STRANGER) == [("enter", "enter")]
    assert marks(rule("enter"), "named", ADA) == []


def test_enter_of_a_person_is_told_once_the_name_is_known() -> None:
    of_ada = rule("enter", who=["Ada"])

    assert marks(of_ada, "enter", STRANGER) == []
    assert marks(of_ada, "named", ADA) == [("enter", "name:Ada")]
    assert marks(of_ada, "enter", ADA) == [("enter", "name:Ada")]
    assert marks(rule("enter", who=["Bob"]), "enter", ADA) == []


def test_name_in_another_unicode_form_is_the_same() -> None:
    zoe = msgspec.structs.replace(ADA, name="Zo\u00eb")

    assert marks(rule("enter", who=["Zoe\u0308"]), "enter", zoe) == [("enter", "name:Zo\u00eb")]


def test_enter_by_name_and_named_have_one_mark() -> None:
    both = rule("enter", "named")
    found = list(both.of_change("enter", 0, ADA, was_seen=False))

    assert [(one.mark, one.also) for one in found] == [("enter", "name:Ada"), ("name:Ada", "")]


def test_correction_by_a_human_is_no_occasion() -> None:
    assert marks(rule("enter", "named", "unknown"), "corrected", ADA) == []


def test_stranger_who_was_seen_before_is_told_with_the_number() -> None:
    again = rule("stranger_again")

    assert marks(again, "stranger", STRANGER, was_seen=True) == [("stranger_again", "again")]
    assert marks(again, "stranger", STRANGER) == []
    ignored = msgspec.structs.replace(STRANGER, correction="ignore")
    assert marks(again, "stranger", ignored, was_seen=True) == []


def test_zone_is_told_when_the_face_was_there_first() -> None:
    in_zone = msgspec.structs.replace(STRANGER, zones=(ZoneVisit("porch", "2026-11-29T11:00:00.500Z"),))
    (found,) = rule("zone", zones=["porch", "lane"]).of_zones(in_zone)

    assert (found.occasion.zone, found.occasion.at_ns) == ("porch", ns("2026-11-29T11:00:00.500Z"))
    assert list(rule("zone", zones=["lane"]).of_zones(in_zone)) == []
    assert list(rule("zone", zones=["porch"], who=["Ada"]).of_zones(in_zone)) == []


@pytest.mark.parametrize(
    ("local", "is_on"),
    [
        ("2026-11-28T21:59:59", False),
        ("2026-11-28T22:00:00", True),
        ("2026-11-28T23:59:59", True),
        ("2026-11-29T05:59:59", True),
        ("2026-11-29T06:00:00", False),
    ],
)
def test_hours_go_over_midnight(local: str, is_on: bool) -> None:
    when = datetime.fromisoformat(local).replace(tzinfo=BERLIN)

    assert rule("enter", hours="22:00-06:00").is_on(round(when.timestamp() * 1e9)) is is_on


@pytest.mark.parametrize(
    ("utc", "is_on"),
    [
        ("2026-03-29T00:30:00Z", True),  # 01:30, before the clocks go forward
        ("2026-03-29T00:59:59Z", True),
        ("2026-03-29T01:00:00Z", False),  # it is 03:00 at once: the hour from 02:00 isn't there
        ("2026-10-25T00:30:00Z", True),  # 02:30 in summer time
        ("2026-10-25T01:30:00Z", True),  # 02:30 again
        ("2026-10-25T02:00:00Z", False),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall_when_summer_time_begins_and_ends(utc: str, is_on: bool) -> None:
    assert rule("enter", hours="01:00-03:00").is_on(ns(utc)) is is_on


def test_hours_after_midnight_belong_to_the_day_before() -> None:
    saturday = rule("enter", hours="22:00-06:00", days=["sat"])

    assert saturday.is_on(ns("2026-11-28T22:00:00Z"))
    assert saturday.is_on(ns("2026-11-29T03:00:00Z")), "Sunday, 04:00"
    assert not saturday.is_on(ns("2026-11-28T03:00:00Z")), "Saturday, 04:00"
    assert not saturday.is_on(ns("2026-11-29T22:00:00Z"))
    assert rule("enter", days=["sun"]).is_on(ns("2026-11-29T03:00:00Z"))


def test_place_is_that_of_the_sighting() -> None:
    (found,) = rule("enter").of_change("enter", ns("2026-11-29T12:00:00Z"), ADA, was_seen=False)

    assert rule("enter", cameras=["door"], areas=["hall"]).accepts(found.occasion)
    assert not rule("enter", cameras=["yard"]).accepts(found.occasion)
    assert not rule("enter", areas=["yard"]).accepts(found.occasion)
