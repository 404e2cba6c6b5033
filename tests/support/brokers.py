"""A real mosquitto on a port of its own, and a client that hears all of its topics."""

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.certificates import openssl
from tests.support.command import free_port
from tests.support.waiting import wait_until

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
USER, PASSWORD = "jet", "s3cret of the broker"


@dataclass
class Broker:
    """A mosquitto that keeps retained messages over restarts. `lines`: of its config, after those of the port."""

    folder: Path
    lines: tuple[str, ...] = ("allow_anonymous true",)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        if MOSQUITTO is None:
            pytest.skip("needs the program mosquitto, which is not installed here")
        store = self.folder / "store"
        store.mkdir(exist_ok=True)
        store.chmod(0o777)  # as root it gives up root's rights
        config = self.folder / "mosquitto.conf"
        own = (f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {store}/")
        config.write_text("\n".join([*own, "autosave_interval 1", "user root", *self.lines, ""]))
        with (self.folder / "mosquitto.log").open("a") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=log, stderr=log)
        wait_until(self.is_listening, why=lambda: (self.folder / "mosquitto.log").read_text())

    def is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, signum: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(signum)
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """As `kill -9`: nothing is written any more."""
        self.stop(signal.SIGKILL)


@contextlib.contextmanager
def broker_in(folder: Path, *lines: str, **given: Any) -> Iterator[Broker]:
    """Running within the block."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = Broker(folder, lines or ("allow_anonymous true",), **given)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Ears:
    """Hears every topic of a broker, in a thread of its own, also after a restart of the broker. A persistent session:
    the broker keeps what comes while it is away."""

    def __init__(self, broker: Broker, *topics: str, name: str = "ears", **login: str) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        if login:
            self._client.username_pw_set(login["user"], login["password"])
        self._topics = topics or ("#",)
        self._client.on_connect = lambda client, *_: client.subscribe([(one, 1) for one in self._topics])
        self._client.on_subscribe = lambda *_: self.is_there.set()
        self._client.on_message = lambda _, __, message: self._take(message)
        self.is_there = threading.Event()
        self.messages: list[tuple[str, bytes]] = []
        self.repeated = 0
        """messages that the broker says it may have given before"""
        self.retained: dict[str, bytes] = {}
        """the newest payload of each topic that isn't empty"""
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self.is_there.wait(20)

    def _take(self, message: paho.MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload)))
        self.repeated += message.dup
        if message.payload:
            self.retained[message.topic] = bytes(message.payload)
        else:
            self.retained.pop(message.topic, None)

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def told(self, topic: str) -> list[Any]:
        """What came on a topic, decoded."""
        return [msgspec.json.decode(payload) for one, payload in list(self.messages) if one == topic]

    def wait(self, until: "Callable[[Ears], object]") -> None:
        wait_until(lambda: until(self), why=lambda: str(self.messages[-5:]))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def held(broker: Broker, *topics: str, quiet_s: float = 0.5, **login: str) -> dict[str, bytes]:
    """What the broker holds for who comes new."""
    ears = Ears(broker, *topics, name=f"look{time.monotonic_ns()}", **login)
    try:
        count = -1
        while count != len(ears.messages):
            count = len(ears.messages)
            time.sleep(quiet_s)
        return dict(ears.retained)
    finally:
        ears.close()


def password_file(folder: Path) -> Path:
    """mosquitto's, with USER and PASSWORD."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("needs the program mosquitto_passwd, which is not installed here")
    path = folder / "passwords"
    subprocess.run([program, "-b", "-c", str(path), USER, PASSWORD], check=True, capture_output=True)
    path.chmod(0o644)
    return path


def authority(folder: Path, name: str = "ca") -> Path:
    """The certificate of a CA; its key is beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    cert = folder / f"{name}.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"),
        *("-subj", f"/CN={name}", "-out", cert, "-keyout", cert.with_suffix(".key")),
    )
    return cert


def signed(ca: Path, name: str = "broker") -> Path:
    """A certificate for 127.0.0.1 that the CA has signed; its key is beside it."""
    cert, request = ca.with_name(f"{name}.pem"), ca.with_name(f"{name}.csr")
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", cert.with_suffix(".key"), "-out", request),
    )
    extensions = ca.with_name(f"{name}.ext")
    extensions.write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        *("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.with_suffix(".key"), "-CAcreateserial"),
        *("-days", "1", "-extfile", extensions, "-out", cert),
    )
    cert.with_suffix(".key").chmod(0o644)
    return cert
