"""Runs the `jetstream` command in the test's own process: what it says and does, without a process start each time."""

import os
import subprocess

from typer.testing import CliRunner

from jetstream.cli import app
from jetstream.errors import JetstreamError
from tests.support.command import Command


class Inside(Command):
    """As `Command`, whose own way stays as `outside`; pipelines are processes here too."""

    def __call__(self, *words: str, timeout_s: float = 120, sets: bool = False) -> "subprocess.CompletedProcess[str]":
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            result = CliRunner().invoke(app, [*words, *(self.sets if sets else [])])
        finally:
            os.chdir(before)
        code, said, error = result.exit_code, result.stderr, result.exception
        if isinstance(error, JetstreamError):  # as `jetstream.cli.main` does
            code, said = error.exit_code, f"{said}jetstream: {error}\n"
        elif error is not None and not isinstance(error, SystemExit):
            raise error
        return subprocess.CompletedProcess(words, code, result.stdout, said)

    def outside(self, *words: str, sets: bool = False) -> "subprocess.CompletedProcess[str]":
        """The command in a process of its own."""
        return super().__call__(*words, sets=sets)
