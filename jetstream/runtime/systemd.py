"""Messages to systemd (sd_notify(3)): readiness, reloads, and requests for more time to start."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

STEP_S = 600
"""no step of start-up takes longer"""


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send `state` to systemd (sd_notify(3)), as a datagram to the socket in NOTIFY_SOCKET, where that is set."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def reloading() -> None:
    """Send RELOADING=1 with the time, by which systemd tells this reload from an earlier one."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def patient(progress: Callable[[str, float], None]) -> Callable[[str, float], None]:
    """`progress` that also asks systemd for more time with each step of start-up: a thousand photos take minutes."""

    def report(what: str, share: float) -> None:
        progress(what, share)
        notify(f"EXTEND_TIMEOUT_USEC={STEP_S * 1_000_000}\nSTATUS={what}: {share:.0%}")

    return report
