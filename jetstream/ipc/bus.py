"""Doorways: one ZeroMQ `ipc://` endpoint a message type and reader, bound by the reader.

PUSH to PULL, so every drop happens where it is counted: a full queue at the sender, a late frame at the reader.
A reader that restarts binds again and the senders come back by themselves. Knows message types, no stage.

Lossy (live pace): a reader empties its socket at once and keeps the newest few frames of each camera; the oldest fall
(`late`). A sender whose high-water mark is reached drops what it holds (`full`). Lossless (every-frame pace): queues
have no mark, since the ring's slots already bound how many frames can be under way, and so nobody waits here. Only a
reader that isn't vital may stay away for longer: its queue has an end too (`full`).
"""

import math
import socket as socket_module
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
import zmq

from jetstream.errors import GARBLED, UserError
from jetstream.messages import Ended, Framed, Message, Tick

HIGH_WATER = 1024
"""messages in a lossy socket's queue: the newest few of each of many cameras, and at most a few megabytes"""
LONG_ABSENCE = 8192
"""messages in a lossless queue for a reader that isn't vital: of many more seconds than it takes to start one again"""
LARGEST_BYTES = 8 << 20
"""of a message; a frame with a thousand faces takes one"""
BEAT_S = 0.1
"""longest wait without a heartbeat"""
LONGEST_PATH = 107
"""bytes in a Unix socket's path (sun_path of unix(7), less its final zero)"""

Beat: TypeAlias = Callable[[], None]


def endpoint(run_dir: Path, kind: type[Message], reader: str) -> str:
    """Where `reader` listens for messages of `kind`. Raises UserError when the run directory's path is too long."""
    path = run_dir / doorway(kind, reader)
    if len(str(path).encode()) > LONGEST_PATH:
        raise UserError(f"pipeline.run_dir: {run_dir}: too long for a socket's path; choose a shorter folder")
    return f"ipc://{path}"


def doorway(kind: type[Message], reader: str) -> str:
    """Its name: `captured.detect`."""
    return f"{kind.__name__.lower()}.{reader}"


def has_listener(path: str) -> bool:
    """Whether somebody listens on the Unix socket: ZeroMQ would take its path away without a word."""
    with socket_module.socket(socket_module.AF_UNIX) as probe:
        try:
            return probe.connect_ex(path) == 0
        except OSError:  # too long a path, which can't be bound either
            return False


class Reader(NamedTuple):
    """Who gets a type of message, and whether each of them must arrive."""

    name: str
    lossless: bool
    ends: bool  # with the sender
    vital: bool = True  # else it may stay away, and the run goes on


class Outbox:
    """Sends each message to the readers of its type."""

    def __init__(self, run_dir: Path, readers: Mapping[type[Message], Sequence[Reader]]) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._readers = {
            kind: [(reader, _push(endpoint(run_dir, kind, reader.name), _high_water(reader))) for reader in group]
            for kind, group in readers.items()
        }
        self.full_at: Counter[str] = Counter()  # messages that fell because a queue was full, by doorway

    def send(self, message: Message) -> None:
        """To all readers of the message's type; never waits."""
        payload = self._encoder.encode(message)
        for reader, socket in self._readers[type(message)]:
            try:
                socket.send(payload, zmq.NOBLOCK)
            except zmq.Again:
                self.full_at[doorway(type(message), reader.name)] += 1

    def end(self, sender: str, timeout_s: float = 1.0) -> None:
        """Tell the readers that end with `sender` that it has ended, waiting for a full queue; then close."""
        payload = self._encoder.encode(Ended(sender=sender))
        for reader, socket in self._all():
            if reader.ends and socket.poll(int(timeout_s * 1000), zmq.POLLOUT):
                socket.send(payload, zmq.NOBLOCK)
        self.close(timeout_s)

    def close(self, linger_s: float = 1.0) -> None:
        """Without a word: whoever failed will be back."""
        for reader, socket in self._all():
            socket.close(linger=int(linger_s * 1000) if reader.ends else 0)

    def _all(self) -> Iterator[tuple[Reader, "zmq.Socket[bytes]"]]:
        return (pair for group in self._readers.values() for pair in group)


class Inbox:
    """Iterates over the messages for one reader; ends when all `senders` have ended or `stop` says so.

    `kinds` maps each message type to the most a camera may have waiting (None: no limit). `senders` are those whose
    `Ended` closes the inbox; with `pass_ended` it hands one last `Ended` to the reader, who may wait for answers and
    returns by itself. `tick_s` makes a `Tick` so often, whatever comes; `idle_ticks` makes one after each message or
    batch, as soon as nothing else is waiting.
    """

    def __init__(
        self,
        run_dir: Path,
        reader: str,
        kinds: Mapping[type[Message], int | None],
        *,
        senders: frozenset[str],
        beat: Beat = lambda: None,
        stop: Callable[[], bool] = lambda: False,
        pass_ended: bool = False,
        tick_s: float | None = None,
        idle_ticks: bool = False,
    ) -> None:
        self._reader = reader
        self._waiting = {kind: ReceiveQueue(limit) for kind, limit in kinds.items()}
        self._decoders = {kind: msgspec.msgpack.Decoder(kind | Ended) for kind in kinds}
        self._open_senders = set(senders)
        self._beat, self._stop, self._pass_ended, self._tick_s = beat, stop, pass_ended, tick_s
        self._end_passed = False
        self.garbled: Counter[str] = Counter()  # messages that were none, by doorway
        self._idle_ticks, self._idle_tick_due = idle_ticks, False
        self._ticked_s = time.monotonic()
        self._poller = zmq.Poller()
        self._sockets: dict[zmq.Socket[bytes], type[Message]] = {}
        for kind, limit in kinds.items():
            socket = _pull(endpoint(run_dir, kind, reader), limit is None)
            self._sockets[socket] = kind
            self._poller.register(socket, zmq.POLLIN)

    def queues(self) -> Iterator[tuple[str, int, int]]:
        """Of each doorway its name, how many messages wait there, and how many fell because newer ones came."""
        for kind, waiting in self._waiting.items():
            yield doorway(kind, self._reader), len(waiting), waiting.late

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        while True:
            self._beat()
            if self._stop():
                raise StopIteration
            if self._tick_s is not None and time.monotonic() - self._ticked_s >= self._tick_s:
                self._ticked_s = time.monotonic()
                return Tick()
            self._receive(timeout_s=0)
            if message := self._take():
                self._idle_tick_due = self._idle_ticks
                return message
            if self._idle_tick_due:
                self._idle_tick_due = False
                return Tick()
            if not self._open_senders and not self._end_passed:
                if not self._pass_ended:
                    raise StopIteration
                self._end_passed = True
                return Ended(sender="")
            self._receive(timeout_s=BEAT_S if self._tick_s is None else min(BEAT_S, self._tick_s))

    def batch(self, most: int, wait_s: float = 0.0) -> list[Message]:
        """At least one message, and what else is waiting, one a camera at most, up to `most`. Raises StopIteration.

        Waits up to `wait_s` after the first one for those of other cameras.
        """
        messages = [next(self)]
        if not isinstance(messages[0], Framed):
            return messages
        until_s = time.monotonic() + wait_s
        while len(messages) < most:
            if message := self._take(but={_camera_of(message) for message in messages}):
                messages.append(message)
                continue
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not self._open_senders or self._stop():
                break
            self._receive(timeout_s=min(left_s, BEAT_S))
            self._beat()
        return messages

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(linger=0)

    def _take(self, but: set[str] | None = None) -> Message | None:
        for waiting in self._waiting.values():
            if message := waiting.take(but or set()):
                return message
        return None

    def _receive(self, timeout_s: float) -> None:
        ready = dict(self._poller.poll(math.ceil(timeout_s * 1000)))
        for socket, kind in self._sockets.items():
            while socket in ready:
                try:
                    message = self._decoders[kind].decode(socket.recv(zmq.NOBLOCK))
                except zmq.Again:
                    break
                except GARBLED:  # whoever wrote it is this user too, and no reason to end
                    self.garbled[doorway(kind, self._reader)] += 1
                    continue
                if isinstance(message, Ended):
                    self._open_senders.discard(message.sender)
                else:
                    self._waiting[kind].add(message)


def _camera_of(message: Message) -> str:
    return message.frame.camera if isinstance(message, Framed) else ""


def _high_water(reader: Reader) -> int:
    """0: no end."""
    if not reader.lossless:
        return HIGH_WATER
    return 0 if reader.vital else LONG_ABSENCE


def _push(address: str, high_water: int) -> "zmq.Socket[bytes]":
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
    socket.set(zmq.SNDHWM, high_water)
    socket.set(zmq.RECONNECT_IVL, 20)
    socket.connect(address)
    return socket


def _pull(address: str, lossless: bool) -> "zmq.Socket[bytes]":
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    socket.set(zmq.RCVHWM, 0 if lossless else HIGH_WATER)
    socket.set(zmq.MAXMSGSIZE, LARGEST_BYTES)
    socket.bind(address)
    return socket


class ReceiveQueue:
    """What one doorway holds, by camera, at most `limit` a camera; cameras take turns. What is of no camera counts as
    one more."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.late = 0
        self._queues: dict[str, deque[Message]] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def add(self, message: Message) -> None:
        queue = self._queues.setdefault(_camera_of(message), deque())
        queue.append(message)
        if self.limit is not None and len(queue) > self.limit:
            queue.popleft()
            self.late += 1

    def take(self, but: set[str]) -> Message | None:
        """The oldest message of the camera whose turn it is; `but` these cameras."""
        for camera, queue in self._queues.items():
            if queue and camera not in but:
                message = queue.popleft()
                del self._queues[camera]
                if queue:  # to the end of the line; else it is forgotten, since garbage may have made up its name
                    self._queues[camera] = queue
                return message
        return None
