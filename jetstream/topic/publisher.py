"""The detections topic's PUB socket, and the check of who may subscribe.

Knows no event.
"""

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

import zmq

from jetstream.config.schema import PublishConfig
from jetstream.errors import BusyError, UserError
from jetstream.ipc.bus import has_listener
from jetstream.topic import keys
from jetstream.topic.zap import ZapAuthenticator

log = logging.getLogger(__name__)

HIGH_WATER = 256
"""ZeroMQ high-water mark: messages queued for a slow subscriber before some are dropped; 10 s of one camera."""
LARGEST_ASKED = 1024
"""Largest message that a subscriber may send, in bytes; a subscription has a camera's name."""
HANDSHAKE_S = 5.0
"""A connection whose ZeroMQ and CURVE handshakes take longer, in seconds, is closed."""


class Topic:
    """The bound socket. With keys, a subscriber that was removed from the list gets nothing more, even if connected.

    Raises what `bind` raises.
    """

    def __init__(self, settings: PublishConfig) -> None:
        self._settings = settings
        self._allowed = AllowList(Path(settings.keys)) if settings.keys else None
        self._authenticator = ZapAuthenticator(self._allowed.has) if self._allowed is not None else None
        try:
            self._socket = bind(settings, self._authenticator)
        except BaseException:
            self.close()
            raise

    def send(self, name: bytes, body: bytes) -> None:
        """Publish one message: `name` is what subscriptions are compared with, `body` msgpack. Never blocks."""
        if self._allowed is not None and self._allowed.has_revoked():
            log.info("a subscriber's key was revoked: all subscribers are disconnected, those with a key reconnect")
            self._socket.close(linger=0)
            self._socket = bind(self._settings, self._authenticator)
        self._socket.send_multipart([name, body])

    def close(self) -> None:
        """Close the socket, after up to 0.5 s for messages not sent yet, and end the authenticator."""
        if hasattr(self, "_socket"):
            self._socket.close()
        if self._authenticator is not None:
            self._authenticator.close()


def open_topic(settings: PublishConfig) -> "contextlib.closing[Topic]":
    """The topic, closed at the end of a `with` block.

    Raises UserError when the endpoint can't be bound, or a key file is missing or readable by others.
    """
    return contextlib.closing(Topic(settings))


class AllowList:
    """The public keys that may subscribe: those in the folder of keys now, and the publisher's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = bytes.fromhex(keys.publisher(folder).public)
        self._changed_ns = self._stamp()
        self._admitted: set[bytes] = set()
        self._lock = threading.Lock()  # else a key could be revoked after `has` found it and before it is in _admitted

    def has(self, public: bytes) -> bool:
        """Whether the public key (32 bytes) may subscribe. The ZAP authenticator asks at each handshake."""
        if public == self._own:
            return True
        with self._lock:
            is_allowed = public in keys.allowed(self._folder).values()
            if is_allowed:
                self._admitted.add(public)
        return is_allowed

    def has_revoked(self) -> bool:
        """Whether, since the last call, a key that was admitted left the list, or the list became unreadable.

        All subscribers must be disconnected then. Costs one stat while the folder is unchanged.
        """
        if (changed_ns := self._stamp()) == self._changed_ns:
            return False
        self._changed_ns = changed_ns
        with self._lock:
            is_lost = not self._admitted <= set(keys.allowed(self._folder).values())
            if is_lost:
                self._admitted.clear()
        return is_lost

    def _stamp(self) -> int:
        try:
            return os.stat(self._folder / keys.ALLOWED).st_mtime_ns  # changes with each file added, removed or replaced
        except OSError:
            return 0


def bind(settings: PublishConfig, authenticator: ZapAuthenticator | None = None) -> "zmq.Socket[bytes]":
    """The topic's bound PUB socket, guarded by `authenticator` if given.

    Raises UserError when the endpoint can't be bound, or the publisher's key can't be read.
    """
    endpoint = settings.endpoint
    if endpoint.startswith("ipc://") and has_listener(endpoint.removeprefix("ipc://")):
        raise BusyError(f"publish.endpoint: {endpoint}: another program uses it; choose another, or stop that program")
    pair = keys.publisher(Path(settings.keys)) if settings.keys else None
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    socket.set(zmq.SNDHWM, HIGH_WATER)
    socket.set(zmq.LINGER, 500)
    socket.set(zmq.MAXMSGSIZE, LARGEST_ASKED)
    socket.set(zmq.HANDSHAKE_IVL, int(HANDSHAKE_S * 1000))
    socket.set(zmq.TCP_KEEPALIVE, 1)  # closes the connection of a subscriber that lost its network
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 60)
    socket.set(zmq.IPV6, int("[" in endpoint))
    if pair is not None:
        pair.authenticate(socket, None)
        if authenticator is not None:
            authenticator.guard(socket)
    try:
        _bind(socket, endpoint)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        why = zmq.strerror(error.errno or 0)
        kind = BusyError if error.errno == zmq.EADDRINUSE else UserError
        raise kind(f"publish.endpoint: {endpoint}: {why}; choose another, or stop the program that uses it") from None
    return socket


def _bind(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    """Bind, with retries: after `close` ZeroMQ releases an address in its own thread, a moment later."""
    for wait_s in (0.01, 0.05, 0.2, 0.5):
        try:
            socket.bind(endpoint)
            return
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise
            time.sleep(wait_s)
    socket.bind(endpoint)
