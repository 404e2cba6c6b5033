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


def hang_up() -> tuple[signal.Signals, ...]:
    """SIGHUP; nothing where whoever started this process had it ignored, as `nohup` does."""
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)


def pass_over(signum: int, frame: FrameType | None) -> None:
    """A handler in place of SIG_IGN, which is the word of whoever started this process."""


@contextmanager
def handled(stop: Callable[[], None], hung_up: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call `stop` meanwhile, SIGHUP `hung_up` unless it was ignored from the start."""

    def handle(signum: int, frame: FrameType | None) -> None:
        (hung_up if signum == signal.SIGHUP else stop)()

    signums = (signal.SIGINT, signal.SIGTERM, *hang_up())
    before = {signum: signal.signal(signum, handle) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
