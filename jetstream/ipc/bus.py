"""Messages between processes: one ZeroMQ `ipc://` endpoint for each message type and reader, bound by the reader.

Sockets are PUSH and PULL, so every drop is counted where it happens: a full queue at the sender, a late frame at the
reader. When a reader restarts, it binds again and ZeroMQ reconnects the senders. Messages that a stage yields in one
turn may travel as the parts of one ZeroMQ message: each is encoded, decoded and counted alone. Knows message types, no
stage.

Lossy (live pace): a reader empties its socket at once and keeps the newest few frames of each camera; older ones are
dropped (`late`). A sender whose high-water mark is reached drops the message (`full`). Lossless (every-frame pace):
queues have no limit, because the ring's slots already bound the number of frames in progress, and `send` never waits.
Only the queue of a reader that isn't vital has a limit, because such a reader may be absent for long (`full`).
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
from jetstream.messages import Demuxed, Ended, Framed, Message, Tick

HIGH_WATER = 1024
"""Messages in a lossy socket's queue: enough for the newest few of many cameras, and at most a few megabytes."""
LONG_ABSENCE = 8192
"""Messages in a lossless queue for a reader that isn't vital: many more seconds' worth than a restart takes."""
LARGEST_BYTES = 8 << 20
"""Largest message, in bytes; a frame with a thousand faces takes 1 MiB."""
BEAT_S = 0.1
"""Longest wait without a heartbeat, in seconds."""
LONGEST_PATH = 107
"""Longest path of a Unix socket, in bytes (sun_path of unix(7), less its final zero)."""

Beat: TypeAlias = Callable[[], None]
# As plain numbers, since arithmetic on enums takes as long as the call. An exception for an empty socket takes 10 us.
_EVENTS, _READABLE = int(zmq.EVENTS), int(zmq.POLLIN)
_AT_ONCE, _AT_ONCE_WITH_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)


def endpoint(run_dir: Path, kind: type[Message], reader: str) -> str:
    """The address at which `reader` receives messages of type `kind`.

    Raises UserError when the run directory's path is too long for a Unix socket.
    """
    path = run_dir / endpoint_name(kind, reader)
    if len(str(path).encode()) > LONGEST_PATH:
        raise UserError(f"pipeline.run_dir: {run_dir}: too long for a socket's path; choose a shorter folder")
    return f"ipc://{path}"


def endpoint_name(kind: type[Message], reader: str) -> str:
    """The endpoint's name in counters, and the file name of its socket: `captured.detect`."""
    return f"{kind.__name__.lower()}.{reader}"


def has_listener(path: str) -> bool:
    """Whether a process listens on the Unix socket at `path`. ZeroMQ's bind would replace the path without an error."""
    with socket_module.socket(socket_module.AF_UNIX) as probe:
        try:
            return probe.connect_ex(path) == 0
        except OSError:  # too long a path, which can't be bound either
            return False


class Reader(NamedTuple):
    """One receiver of a message type."""

    name: str
    lossless: bool  # every message must arrive
    ends: bool  # ends when the sender has ended
    vital: bool = True  # the run needs it; False: it may be absent
    cameras: frozenset[str] | None = None  # whose frames it takes; None: all


class Outbox:
    """Sends each message to the readers of its type: at once, or, where it `gathers`, all of a type at `flush` as one
    ZeroMQ message, which wakes their reader and ZeroMQ's threads once. `speaks_for_all` false: messages about no camera
    are left to another sender of the same stage, so that nothing is told twice."""

    def __init__(
        self,
        run_dir: Path,
        readers: Mapping[type[Message], Sequence[Reader]],
        *,
        gathers: bool = False,
        speaks_for_all: bool = True,
    ) -> None:
        self._encoder, self._speaks_for_all = msgspec.msgpack.Encoder(), speaks_for_all
        self._readers = {
            kind: [ReaderSocket(run_dir, kind, reader) for reader in group] for kind, group in readers.items()
        }
        self._gathers = gathers
        self.full_at: Counter[str] = Counter()  # messages dropped because a queue was full, by endpoint name

    def send(self, message: Message) -> None:
        """Send to all readers of the message's type. Never blocks; counts a drop where a queue is full."""
        payload, camera = self._encoder.encode(message), _camera_of(message)
        if not camera and not self._speaks_for_all:
            return
        for reader in self._readers[type(message)]:
            if reader.cameras is None or camera in reader.cameras:
                reader.waiting.append(payload)
                if not self._gathers:
                    self._flush(reader)

    def flush(self) -> None:
        """Send what was gathered."""
        for reader in self._all():
            if reader.waiting:
                self._flush(reader)

    def _flush(self, reader: "ReaderSocket") -> None:
        payloads, reader.waiting = reader.waiting, []
        last = payloads.pop()
        try:  # a message's first part finds out whether there is room for all of them
            for payload in payloads:
                reader.socket.send(payload, _AT_ONCE_WITH_MORE)
            reader.socket.send(last, _AT_ONCE)
        except zmq.Again:
            self.full_at[reader.endpoint] += len(payloads) + 1

    def end(self, sender: str, timeout_s: float = 1.0) -> None:
        """Send `Ended` to the readers that end with `sender`, waiting up to `timeout_s` for each full queue; close."""
        self.flush()
        payload = self._encoder.encode(Ended(sender=sender))
        for reader in self._all():
            if reader.ends and reader.socket.poll(int(timeout_s * 1000), zmq.POLLOUT):
                reader.socket.send(payload, zmq.NOBLOCK)
        self.close(timeout_s)

    def close(self, linger_s: float = 1.0) -> None:
        """Close without sending `Ended`, so that readers wait for this process's restart."""
        self.flush()
        for reader in self._all():
            reader.socket.close(linger=int(linger_s * 1000) if reader.ends else 0)

    def _all(self) -> Iterator["ReaderSocket"]:
        return (reader for group in self._readers.values() for reader in group)


class ReaderSocket:
    """The sender's side of one endpoint, and the messages that wait to be sent there."""

    def __init__(self, run_dir: Path, kind: type[Message], reader: Reader) -> None:
        self.socket = _push(endpoint(run_dir, kind, reader.name), _high_water(reader))
        self.endpoint = endpoint_name(kind, reader.name)
        self.ends, self.cameras = reader.ends, reader.cameras
        self.waiting: list[bytes] = []


class Inbox:
    """Iterates over the messages for one reader; ends when all `senders` have ended or `stop()` is true.

    `kinds` maps each message type to the largest number of messages that may wait for each camera (None: no limit).
    The inbox ends when every one of `senders` has sent `Ended`. With `pass_ended` it then yields one `Ended` first, so
    that a reader that waits for answers can continue and return by itself. `tick_s` yields a `Tick` at that interval;
    `idle_ticks` yields one after each message or batch, as soon as nothing else is waiting. `beat` is called at least
    every BEAT_S.
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
        self.garbled: Counter[str] = Counter()  # messages that couldn't be decoded, by endpoint name
        self._idle_ticks, self._idle_tick_due = idle_ticks, False
        self._ticked_s = time.monotonic()
        self._poller = zmq.Poller()
        self._sockets: dict[zmq.Socket[bytes], type[Message]] = {}
        for kind, limit in kinds.items():
            socket = _pull(endpoint(run_dir, kind, reader), limit is None)
            self._sockets[socket] = kind
            self._poller.register(socket, zmq.POLLIN)

    def queues(self) -> Iterator[tuple[str, int, int]]:
        """For each endpoint: its name, the number of messages waiting, and the number dropped for newer ones so far."""
        for kind, waiting in self._waiting.items():
            yield endpoint_name(kind, self._reader), len(waiting), waiting.late

    @property
    def has_waiting(self) -> bool:
        """Whether a message is here already."""
        return any(self._waiting.values())

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
            if message := self._take():  # before the rest of the turn: its sender just woke this process
                self._idle_tick_due = self._idle_ticks
                return message

    def batch(self, most: int, wait_s: float = 0.0) -> list[Message]:
        """The next message and the other waiting ones, at most one for each camera and at most `most`.

        Blocks until there is one, then waits up to `wait_s` for messages of other cameras. A message that belongs to no
        frame comes alone. Raises StopIteration at the end, as `next` does.
        """
        messages = [next(self)]
        if not isinstance(messages[0], Framed):
            return messages
        until_s = time.monotonic() + wait_s
        cameras = {_camera_of(messages[0])}
        while len(messages) < most:
            if message := self._take(but=cameras):
                messages.append(message)
                cameras.add(_camera_of(message))
                continue
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not self._open_senders or self._stop():
                break
            self._receive(timeout_s=min(left_s, BEAT_S))
            self._beat()
        return messages

    def close(self) -> None:
        """Close the sockets; messages that wait are lost."""
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
            if socket not in ready:
                continue
            decode, waiting = self._decoders[kind].decode, self._waiting[kind]
            while True:
                try:
                    message = decode(socket.recv(_AT_ONCE))
                except GARBLED:  # only this user can write here, so it is counted and the stage continues
                    self.garbled[endpoint_name(kind, self._reader)] += 1
                else:
                    if isinstance(message, Ended):
                        self._open_senders.discard(message.sender)
                    else:
                        waiting.add(message)
                if not int(socket.get(_EVENTS)) & _READABLE:  # it is while a message has more parts
                    break


def _camera_of(message: Message) -> str:
    if isinstance(message, Framed):
        return message.frame.camera
    return message.camera if isinstance(message, Demuxed) else ""


def _high_water(reader: Reader) -> int:
    """ZeroMQ high-water mark, in messages, of the queue for `reader`; 0 means unlimited."""
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
    """The messages waiting at one endpoint: a queue for each camera, of at most `limit` messages (None: no limit).

    Cameras take turns. Messages that belong to no camera share one more queue.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.late = 0
        self._queues: dict[str, deque[Message]] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def __bool__(self) -> bool:
        return bool(self._queues)  # an empty one is removed

    def add(self, message: Message) -> None:
        """Append to the camera's queue; over the limit its oldest message is dropped and counted in `late`."""
        queue = self._queues.setdefault(_camera_of(message), deque())
        queue.append(message)
        if self.limit is not None and len(queue) > self.limit:
            queue.popleft()
            self.late += 1

    def take(self, but: set[str]) -> Message | None:
        """The oldest message of the camera whose turn it is, except the cameras in `but`; None if there is none."""
        for camera, queue in self._queues.items():
            if queue and camera not in but:
                message = queue.popleft()
                del self._queues[camera]
                if queue:  # to the end of the order; an empty queue is removed: garbage may have invented its name
                    self._queues[camera] = queue
                return message
        return None
