"""A made-up alert, with which a user sees whether alerts arrive."""

from typing import Final

import msgspec

from jetstream.alerts.message import AlertMessage, of_sighting
from jetstream.alerts.occasions import OF_CAMERAS
from jetstream.alerts.outbox import Delivery, new_id
from jetstream.config.schema import AlertConfig, Config, area_of
from jetstream.events import iso_time
from jetstream.sighting import Sighting, ZoneVisit

ID: Final = "0" * 26
"""of a sighting that there is not"""
NAME: Final = "Ada Lovelace"


def message(alert: AlertConfig, config: Config, at_ns: int) -> AlertMessage:
    """An alert of the first kind in `when`, at the alert's first camera; its text says that it is a test."""
    areas = {camera.name: area_of(camera) for camera in config.cameras}
    camera = next(iter((*alert.cameras, *areas)), "test")
    zone, kind = next(iter(alert.zones), ""), alert.when[0]
    delivery = Delivery(0, new_id(), alert.name, kind, ID, camera, zone if kind == "zone" else "", at_ns, 0, 0)
    sighting = _sighting(alert, camera, areas.get(camera, camera), at_ns) if kind not in OF_CAMERAS else None
    made = of_sighting(delivery, sighting, areas)
    text = f"Test of alert {alert.name}: {made.data.text}"
    return msgspec.structs.replace(made, data=msgspec.structs.replace(made.data, text=text))


def _sighting(alert: AlertConfig, camera: str, area: str, at_ns: int) -> Sighting:
    is_stranger = alert.when[0] in ("unknown", "stranger_again")
    name = None if is_stranger else next(iter(alert.who), NAME)
    begin = iso_time(at_ns - 60_000_000_000)
    return Sighting(
        id=ID,
        camera=camera,
        area=area,
        state="ended" if alert.when[0] == "exit" else "open",
        name=name,
        machine_name=name,
        stranger=1 if is_stranger else None,
        begin=begin,
        end=iso_time(at_ns),
        begin_s=0.0,
        end_s=60.0,
        confidence=0.0 if is_stranger else 0.99,
        correction="",
        zones=tuple(ZoneVisit(name=zone, first=begin) for zone in alert.zones),
    )
