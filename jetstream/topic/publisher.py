"""The detections topic's bound socket, and who may listen to it."""

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

import zmq

from jetstream.config.schema import PublishConfig
from jetstream.errors import UserError
from jetstream.ipc.bus import has_listener
from jetstream.topic import keys
from jetstream.topic.zap import ZapAuthenticator

log = logging.getLogger("jetstream")

HIGH_WATER = 256
"""messages that a subscriber may be behind before it loses some: ten seconds of one camera"""
LARGEST_ASKED = 1024
"""bytes that a subscriber may send at once; a subscription has a camera's name"""
HANDSHAKE_S = 5.0
"""a connection that hasn't said by then that it speaks ZeroMQ, and who it is, is closed"""


class Topic:
    """The bound socket. With keys, nothing is sent to anybody who was taken off the list, connected or not."""

    def __init__(self, settings: PublishConfig) -> None:
        self._settings = settings
        self._list = AllowList(Path(settings.keys)) if settings.keys else None
        self._doorman = ZapAuthenticator(self._list.has) if self._list is not None else None
        try:
            self._socket = bind(settings, self._doorman)
        except BaseException:
            self.close()
            raise

    def send(self, name: bytes, body: bytes) -> None:
        if self._list is not None and self._list.lost_somebody():
            log.info("the list of who may listen got shorter: all are disconnected, and whoever may is back at once")
            self._socket.close(linger=0)
            self._socket = bind(self._settings, self._doorman)
        self._socket.send_multipart([name, body])

    def close(self) -> None:
        if hasattr(self, "_socket"):
            self._socket.close()
        if self._doorman is not None:
            self._doorman.close()


def opened(settings: PublishConfig) -> "contextlib.closing[Topic]":
    """Raises UserError when the endpoint can't be had, or a key is missing or can be read by others."""
    return contextlib.closing(Topic(settings))


class AllowList:
    """Who may listen, as the folder of keys says it now; and this machine's own user, by the publisher's key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = bytes.fromhex(keys.publisher(folder).public)
        self._changed_ns = self._stamp()
        self._let_in: set[bytes] = set()
        self._lock = threading.Lock()  # else a key could go after `has` found it and before it stands in _let_in

    def has(self, public: bytes) -> bool:
        """Asked by the doorman's thread, at every handshake."""
        if public == self._own:
            return True
        with self._lock:
            is_allowed = public in keys.allowed(self._folder).values()
            if is_allowed:
                self._let_in.add(public)
        return is_allowed

    def lost_somebody(self) -> bool:
        """Whether somebody who was let in is on the list no more, or the list can't be read: then all must be
        disconnected. One stat, as long as nothing changes."""
        if (changed_ns := self._stamp()) == self._changed_ns:
            return False
        self._changed_ns = changed_ns
        with self._lock:
            is_lost = not self._let_in <= set(keys.allowed(self._folder).values())
            if is_lost:
                self._let_in.clear()
        return is_lost

    def _stamp(self) -> int:
        try:
            return os.stat(self._folder / keys.ALLOWED).st_mtime_ns  # files appear, go and are replaced in it
        except OSError:
            return 0


def bind(settings: PublishConfig, doorman: ZapAuthenticator | None = None) -> "zmq.Socket[bytes]":
    """The topic's socket. Raises UserError when the endpoint can't be had, or the publisher's key."""
    endpoint = settings.endpoint
    if endpoint.startswith("ipc://") and has_listener(endpoint.removeprefix("ipc://")):
        raise UserError(f"publish.endpoint: {endpoint}: another program has it; choose another, or stop that one")
    pair = keys.publisher(Path(settings.keys)) if settings.keys else None
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    socket.set(zmq.SNDHWM, HIGH_WATER)
    socket.set(zmq.LINGER, 500)
    socket.set(zmq.MAXMSGSIZE, LARGEST_ASKED)
    socket.set(zmq.HANDSHAKE_IVL, int(HANDSHAKE_S * 1000))
    socket.set(zmq.TCP_KEEPALIVE, 1)  # a subscriber that was cut off must not stay for ever
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 60)
    socket.set(zmq.IPV6, int("[" in endpoint))
    if pair is not None:
        pair.authenticate(socket, None)
        if doorman is not None:
            doorman.guard(socket)
    try:
        _bind(socket, endpoint)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        why = zmq.strerror(error.errno or 0)
        raise UserError(f"publish.endpoint: {endpoint}: {why}; choose another, or stop who has it") from None
    return socket


def _bind(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    """A moment later where the address was ours until now: ZeroMQ lets go of it in a thread of its own."""
    for wait_s in (0.01, 0.05, 0.2, 0.5):
        try:
            socket.bind(endpoint)
            return
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise
            time.sleep(wait_s)
    socket.bind(endpoint)
