"""Builds the TensorRT engines that were missing at the start, beside the running pipeline.

Handles no frame and imports no TensorRT: processes of low priority build. Once they have, the supervisor lets the
stages that run networks change over.
"""

import contextlib
from collections.abc import Iterator

from jetstream.config.schema import Config
from jetstream.messages import Building, Built, Message, PatientTicks, ReportingTicks, Tick
from jetstream.networks.build import PROBE_S, build_missing


def build(ticks: Iterator[Tick], config: Config) -> None:
    """Build what is missing, and end. Says which engines are being built, and at the end how many were."""
    shares: dict[str, float] = {}

    def report(what: str, share: float) -> None:
        if next(ticks, None) is None:
            raise _RunOverError
        network, comma, _ = what.partition(", ")
        if comma and (share < 1) != (shares.get(what, 1.0) < 1):
            _tell(ticks, Building(network=network, now=share < 1))
        shares[what] = share

    if isinstance(ticks, PatientTicks):
        ticks.opens(PROBE_S)
    with contextlib.suppress(_RunOverError):
        _tell(ticks, Built(engines=build_missing(config, report)))


def _tell(ticks: Iterator[Tick], message: Message) -> None:
    if isinstance(ticks, ReportingTicks):
        ticks.report(message)


class _RunOverError(Exception):
    """The run ends before the engines are built; those that are finished stay."""
