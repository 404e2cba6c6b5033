"""A topic that sends all the time, and whoever listens to it."""

import contextlib
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import zmq

from jetstream.config.schema import PublishConfig
from jetstream.topic import keys
from jetstream.topic.publisher import Topic
from tests.support.waiting import PATIENCE_S


class SendingTopic:
    """A topic that sends all the time, as a pipeline does, from a thread of its own."""

    def __init__(self, settings: PublishConfig, body: bytes = b"secret") -> None:
        self.settings, self._body = settings, body
        self._topic = Topic(settings)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._talk)

    def _talk(self) -> None:
        while not self._ended.wait(0.01):
            self._topic.send(b"detections.door", self._body)
        self._topic.close()

    def __enter__(self) -> "SendingTopic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def listener(settings: PublishConfig, pair: keys.KeyFile | None, server: str | None = None) -> "zmq.Socket[bytes]":
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.set(zmq.LINGER, 0)
    if pair is not None:
        pair.authenticate(socket, server or keys.publisher(Path(settings.keys)).public)
    socket.subscribe(b"")
    socket.connect(settings.endpoint)
    return socket


def hears(socket: "zmq.Socket[bytes]", within_s: float = PATIENCE_S) -> bool:
    return bool(socket.poll(int(within_s * 1000)))


def falls_silent(socket: "zmq.Socket[bytes]", for_s: float = 1.0) -> bool:
    """Whether nothing more comes, once what came before is taken."""
    while socket.poll(0):
        socket.recv_multipart()
    return not hears(socket, for_s)


def subscriber(folder: Path, name: str, *, on_list: bool = True) -> keys.KeyFile:
    pair = keys.new(folder.parent / f"{name}.key", name, keys.publisher(folder).public)
    if on_list:
        keys.allow(folder, name, pair.public)
    return pair


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As in a flood of connections: nothing can be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
