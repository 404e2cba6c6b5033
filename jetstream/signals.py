"""The signals of the command that runs the pipeline: stop, or, where no terminal hangs up, read the config anew."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def has_terminal() -> bool:
    """Whether this process would be told when a terminal hangs up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextmanager
def handled(stop: Callable[[], None], hang_up: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call `stop` meanwhile, SIGHUP `hang_up`."""

    def handle(signum: int, frame: FrameType | None) -> None:
        (hang_up if signum == signal.SIGHUP else stop)()

    before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
