"""The signals of the command that runs the pipeline: stop, or, where no terminal hangs up, reload the config."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def has_terminal() -> bool:
    """Whether this process has a controlling terminal, whose hang-up sends it SIGHUP."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def hang_up() -> tuple[signal.Signals, ...]:
    """SIGHUP; empty where the parent process had it ignored, as `nohup` does."""
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)


def pass_over(signum: int, frame: FrameType | None) -> None:
    """A handler that does nothing. SIG_IGN would look as if the parent process had set it (`hang_up`)."""


@contextmanager
def handled(stop: Callable[[], None], hung_up: Callable[[], None]) -> Iterator[None]:
    """Within the context SIGINT and SIGTERM call `stop`; SIGHUP calls `hung_up`, unless it was ignored from the
    start."""

    def handle(signum: int, frame: FrameType | None) -> None:
        (hung_up if signum == signal.SIGHUP else stop)()

    signums = (signal.SIGINT, signal.SIGTERM, *hang_up())
    before = {signum: signal.signal(signum, handle) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
