"""Runs the `jetstream` command in the test's own process: what it says and does, without a process start each time."""

import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Iterator

from typer.testing import CliRunner

from jetstream.cli import app
from jetstream.errors import JetstreamError
from tests.support.command import NO_MARKER, Command

INTERRUPTED = 128 + signal.SIGINT


class Inside(Command):
    """As `Command`, whose own way stays as `outside`. Pipelines are processes here too: `running`, and `run` in tests
    with the marker `pipeline`; other tests see how `run` refuses to start.
    """

    def __call__(self, *words: str, sets: bool = False) -> "subprocess.CompletedProcess[str]":
        if words[:1] == ("run",) and self.may_run:
            return self.outside(*words, sets=sets)
        with as_it_was():
            os.chdir(self.folder)
            result = CliRunner().invoke(app, [*words, *(self.sets if sets else [])], env=self._changed_environment())
        code, said, error = result.exit_code, result.stderr, result.exception
        if isinstance(error, JetstreamError):  # as `jetstream.cli.main` does
            code, said = error.exit_code, f"{said}jetstream: {error}\n"
        elif error is not None and not isinstance(error, SystemExit):
            raise error
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # of the tests; a command is interrupted only in a process of its own
        assert code or words[:1] != ("run",) or "--help" in words, NO_MARKER
        return subprocess.CompletedProcess(words, code, result.stdout, said)

    def outside(self, *words: str, sets: bool = False) -> "subprocess.CompletedProcess[str]":
        """The command in a process of its own."""
        return super().__call__(*words, sets=sets)

    def _changed_environment(self) -> dict[str, str | None]:
        """What differs from the test's; None: isn't set."""
        wanted = self.environment
        gone = dict.fromkeys(os.environ.keys() - wanted.keys())
        return {**gone, **{key: value for key, value in wanted.items() if os.environ.get(key) != value}}


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """Working folder, log handlers and level, and signal handlers of this process are those of before the block."""
    folder, root = os.getcwd(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    signals = {signum: signal.getsignal(signum) for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        os.chdir(folder)
        for handler in [one for one in root.handlers if one not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
        for signum, handled in signals.items():
            signal.signal(signum, handled)
