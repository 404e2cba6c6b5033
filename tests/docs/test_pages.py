"""Every command on a page runs here, or says what it needs; and every one is parsed by the real command line."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from jetstream.cli import app
from jetstream.config import load
from jetstream.errors import UserError
from jetstream.networks import cards
from tests.docs import desk
from tests.support.command import free_port, segments_of
from tests.support.inside import Inside
from tools.pages import Block, blocks, user_pages

pytestmark = pytest.mark.pipeline
NEEDS = frozenset(
    ("a long time", "a network", "a screen", "another machine", "camera", "GPU", "Jetson", "root", "your own files")
)
"""Reasons why a block can't run in a test. A new one is added here, or the block is made to run."""
BLOCKS = [block for page in user_pages() for block in blocks(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
PAGES = sorted({block.page for block in SHELL if not block.marker.startswith("needs:")})
HANG_S = 300.0
"""longer than any command of a page takes on a busy machine"""


def commands(block: Block) -> list[str]:
    """Its lines without comments; a line that ends in a backslash goes on in the next."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def calls(line: str) -> Iterator[list[str]]:
    """The words behind each `jetstream` of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "&&"]:
        if word in ("&&", "|", ";", "||"):
            words = words[3:] if words[:2] == ["sudo", "-u"] else words[words[:1] == ["sudo"] :]
            if words and Path(words[0]).name == "jetstream":
                yield words[1:]
            words = []
        else:
            words.append(word)


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.where)
def test_block_runs_or_says_what_it_needs(block: Block) -> None:
    kind, _, reason = block.marker.partition(": ")

    assert kind in ("", "needs", "background"), f"{block.where}: {block.marker}"
    assert kind != "needs" or reason in NEEDS, f"{block.where}: {reason}: none of {sorted(NEEDS)}"


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.where)
def test_words_and_options_of_every_command_are_those_of_the_command_line(block: Block) -> None:
    for line in commands(block):
        for words in calls(line):
            parse(words)


def parse(words: list[str]) -> None:
    """Raises the command line's own error for a command, an option or a value that it doesn't know."""
    command: Any = typer.main.get_command(app)
    if words[:1] in (["--help"], ["--version"]):
        return
    while hasattr(command, "commands") and not (command.invoke_without_command and words[:1] == []):
        name, *words = words
        command = command.commands[name]
    if "--help" not in words:
        command.make_context(command.name, list(words))


@pytest.mark.parametrize("line", ["jetstream watch x.toml", "jetstream run x.toml --headles", "sudo jetstream top 1 2"])
def test_wrong_command_or_option_is_found(line: str) -> None:
    (words,) = calls(line)

    with pytest.raises(Exception, match=r"watch|headles|extra argument"):
        parse(words)


def test_commands_are_found_behind_sudo_and_in_pipes() -> None:
    line = "cd /x && sudo -u jetstream /opt/bin/jetstream top --once | head; sudo cp jetstream y"

    assert list(calls(line)) == [["top", "--once"]]


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=lambda block: block.where)
def test_config_of_a_page_is_a_config(block: Block, tmp_path: Path) -> None:
    secret = tmp_path / "cam1"
    secret.write_text("secret")
    secret.chmod(0o600)
    path = tmp_path / "page.toml"
    path.write_text(re.sub("/etc/jetstream/(cam1|broker)", str(secret), block.text))

    read = cards.read if block.text.startswith("# mynet.toml") else load.load
    read(path)
    path.write_text(re.sub(r"^(\w+) =", r"\1x =", block.text, count=1, flags=re.MULTILINE))
    with pytest.raises(UserError):
        read(path)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "json"], ids=lambda block: block.where)
def test_json_of_a_page_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=lambda block: block.where)
def test_program_of_a_page_compiles(block: Block) -> None:
    compile(block.text, block.where, "exec")


def test_subscriber_is_the_same_on_both_pages() -> None:
    readme, page = (block.text for block in BLOCKS if block.marker == "subscriber")

    assert readme == page


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, portraits: dict[str, np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    desk.make(folder, models_dir, portraits)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page_run(page: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(template, tmp_path / "desk", symlinks=True)
    reader = Reader(tmp_path / "desk", monkeypatch)
    with ExitStack() as running:
        for block in blocks(page):
            if block.language != "sh" or block.marker.startswith("needs:"):
                continue
            if block.marker == "background":
                running.enter_context(reader.background(*commands(block)))
                continue
            for line in commands(block):
                reader.run(line)


class Reader:
    """Somebody who types the commands of a page, one after the other, on ports and in a run directory of their own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._ports = {"5570": str(free_port()), "5571": str(free_port()), "5572": str(free_port())}
        self._made_keys: list[str] = []
        self._inside = Inside(folder, folder / "models")
        for name, value in {
            **self._inside.environment,
            **{"RUNTIME_DIRECTORY": str(self._inside.run_dir), "HOME": str(folder / "home")},
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        for config in (folder / "configs").glob("*.toml"):
            own = f'\n[publish]\nendpoint = "{self._topic}"\n'
            for table, port in (("metrics", "5571"), ("web", "5572")):
                own += f'[{table}]\nendpoint = "{self._here(f"http://127.0.0.1:{port}")}"\n'
            config.write_text(config.read_text() + own)

    @property
    def _topic(self) -> str:
        return self._here("tcp://127.0.0.1:5570")

    def _here(self, text: str) -> str:
        for port, own in self._ports.items():
            text = text.replace(port, own)
        return text

    def run(self, line: str) -> None:
        line = self._here(line)
        line = re.sub(r"jetstream subscribe\b(?! tcp)", f"jetstream subscribe {self._topic}", line)
        for number, public in reversed([*enumerate(self._made_keys, 1)]):
            line = re.sub(rf"\bPUBLIC{number if number > 1 else ''}\b", public, line)
        words = shlex.split(line, comments=True)
        if words[0] == "curl" and shutil.which("curl") is None:
            pytest.skip("needs curl")
        if words[0] == "jetstream" and words[1] != "run" and not set(words) & {"|", "&&"}:
            result = self._inside(*words[1:])
        else:
            result = subprocess.run(
                ["bash", "-ec", line], cwd=self._folder, capture_output=True, text=True, timeout=HANG_S, check=False
            )
        if words[1:3] == ["keys", "new"]:
            self._made_keys.append(result.stdout.split()[-1])
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"

    @contextmanager
    def background(self, line: str) -> Iterator[None]:
        """From when every process sends heartbeats, until the page ends."""
        words = shlex.split(line, comments=True)
        with (self._folder / "log").open("w") as log:
            process = subprocess.Popen(words, cwd=self._folder, stdout=log, stderr=log, start_new_session=True)
        try:
            self._inside.wait(lambda status: all(one.state == "running" for one in status.processes), process)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=HANG_S)
        assert process.returncode == 0, self._inside.log()
        assert segments_of(process.pid) == []
