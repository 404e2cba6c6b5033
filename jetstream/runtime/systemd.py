"""Messages to systemd (sd_notify(3)): readiness, reloads, and requests for more time to start."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

STEP_S = 600
"""no step of start-up takes longer"""


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, where it asked to be told (sd_notify(3)): a datagram to the socket in NOTIFY_SOCKET."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def reloading() -> None:
    """RELOADING=1, which needs the time to tell a late answer from this one's."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def patient(progress: Callable[[str, float], None]) -> Callable[[str, float], None]:
    """`progress`, which also asks systemd for time as long as start-up gets on: engines take minutes to build."""

    def report(what: str, share: float) -> None:
        progress(what, share)
        notify(f"EXTEND_TIMEOUT_USEC={STEP_S * 1_000_000}\nSTATUS={what}: {share:.0%}")

    return report
