"""A real nginx in front of the page, with the lines of docs/page.md."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Certificate
from tests.support.command import free_port
from tests.support.repository import REPOSITORY
from tests.support.waiting import wait_until

NGINX = shutil.which("nginx")
AROUND = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off; client_body_temp_path {folder}/d; proxy_temp_path {folder}/e;
    fastcgi_temp_path {folder}/a; uwsgi_temp_path {folder}/b; scgi_temp_path {folder}/c;
    {lines}
}}
"""


def documented() -> str:
    """The block of docs/page.md."""
    found = re.search(r"```nginx\n(.*?)```", (REPOSITORY / "docs" / "page.md").read_text(), re.DOTALL)
    assert found
    return found[1]


@contextmanager
def nginx(folder: Path, page_port: int, pair: Certificate) -> Iterator[int]:
    """The port at which it serves TLS. The test is skipped where there is no nginx."""
    if NGINX is None:
        pytest.skip("needs the program nginx, which is not installed here")
    port, lines = free_port(), documented()
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/jetstream.pem", str(pair.cert)),
        ("/etc/ssl/jetstream.key", str(pair.key)),
        ("127.0.0.1:5572", f"127.0.0.1:{page_port}"),
    ):
        assert old in lines, f"docs/page.md: {old}"
        lines = lines.replace(old, new)
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, lines=lines))

    def answers() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    with subprocess.Popen([NGINX, "-e", f"{folder}/error.log", "-c", str(config)]) as process:
        try:
            wait_until(answers, why=lambda: (folder / "error.log").read_text())
            yield port
        finally:
            process.terminate()
