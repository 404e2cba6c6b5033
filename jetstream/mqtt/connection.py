"""A connection to an MQTT broker (MQTT 5), driven by its owner's loop: no thread works for it.

Keeps no message: what wasn't acknowledged when a connection is lost is its owner's to send again. Knows no topic but
that of the will.
"""

import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from jetstream.backoff import Backoff
from jetstream.mqtt.broker_address import BrokerAddress

CONNECT_S: Final = 5.0
"""to connect to one address of the broker, and for TLS; names are looked up before that"""
LONGEST_CONNECT_S: Final = 60.0
"""all of that, with slow name servers and several addresses"""
ANSWER_S: Final = 20.0
"""a broker that hasn't answered for so long is left and connected to again"""
KEEP_ALIVE_S: Final = 15
"""in seconds; after one and a half of it without a word the broker tells the will"""
LARGEST_TAKEN: Final = 65_536
"""bytes of a message from the broker"""
TURN_S: Final = 0.05
"""longest wait in one turn of a connection that is waited for"""
REFUSED: Final = 128
"""reason codes from here on are refusals"""


class Delivery(NamedTuple):
    """The broker's answer to a message."""

    number: int  # as `send` gave it
    refusal: str  # empty: it has the message
    may_retry: bool = False  # it may take the message later


class Heard(NamedTuple):
    """A message from the broker."""

    topic: str
    payload: bytes
    retained: bool


class BrokerConnection:
    """Connects and, after a loss, connects again, each time later. Times are of time.monotonic().

    `deliveries` and `heard` are for the owner to empty. `is_open`: messages can be sent. `number`: how often it was
    opened. `failures`: how often it was lost, or couldn't be opened; `why`: the last time, a clause. `wait_s`: from
    then until the next attempt.
    """

    def __init__(
        self, address: BrokerAddress, client_id: str, will: tuple[str, bytes] | None, topics: Sequence[str]
    ) -> None:
        """`will`: topic and payload that the broker tells, retained, when the connection is lost; `topics` to hear."""
        self.address = address
        self.is_open, self.number = False, 0
        self.failures, self.why, self.wait_s = 0, "", 0.0
        self.deliveries = deque[Delivery]()
        self.heard = deque[Heard]()
        self.largest = 0  # bytes of a message that the broker takes; 0: any
        self._client_id, self._will, self._topics = client_id, will, topics
        self._client: paho.Client | None = None
        self._backoff = Backoff()
        self._next_s = 0.0
        self._asked_s: float | None = None  # since when an answer is due
        self._unanswered, self._now_s = 0, 0.0
        self._said = ""  # what the broker says is wrong

    def is_due(self, now_s: float) -> bool:
        """Whether `connect` is to be called: it may take LONGEST_CONNECT_S."""
        return self._client is None and now_s >= self._next_s

    def connect(self, now_s: float) -> None:
        """Begin a connection; `turn` then completes it."""
        client = self._new_client()
        try:
            client.connect(self.address.host, self.address.port, KEEP_ALIVE_S, clean_start=True, properties=_asked())
        except (OSError, ValueError) as error:
            self._lost(now_s, _why(error))
            return
        self._client, self._asked_s = client, now_s

    def open(self, until_s: float) -> str:
        """Connect and wait until messages can be sent. Returns why they can't be, a clause; empty: they can."""
        self.connect(time.monotonic())
        while not self.is_open:
            if self.failures or time.monotonic() > until_s:
                return self.why or "it doesn't answer"
            self.turn(time.monotonic(), TURN_S)
        return ""

    def turn(self, now_s: float, wait_s: float) -> None:
        """Send and receive; wait up to `wait_s` for something to arrive."""
        if self._client is None:
            return
        self._now_s = now_s
        if self._client.loop(wait_s) != paho.MQTT_ERR_SUCCESS:
            self._lost(now_s, self._said or ("it ended the connection" if self.is_open else NO_GREETING))
        elif self._asked_s is not None and now_s - self._asked_s > ANSWER_S:
            self._lost(now_s, f"no answer for {ANSWER_S:.0f} s")

    def send(self, topic: str, payload: bytes, now_s: float, *, retain: bool) -> int:
        """Send a message that the broker has to acknowledge; its number, which `deliveries` will have."""
        assert self._client is not None
        self._asked_s = now_s if self._asked_s is None else self._asked_s
        self._unanswered += 1
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    def close(self) -> None:
        """End it in order, so that the broker doesn't tell the will."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop(0.0)
        self._client, self.is_open = None, False

    def _new_client(self) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, self._client_id, protocol=paho.MQTTv5)
        client.connect_timeout = CONNECT_S
        if self.address.tls is not None:
            client.tls_set_context(self.address.tls)
        if self.address.user is not None:
            client.username_pw_set(self.address.user, self.address.password)
        if self._will is not None:
            client.will_set(self._will[0], self._will[1], qos=1, retain=True)
        client.on_connect, client.on_publish, client.on_message = self._on_connect, self._on_publish, self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(
        self, client: paho.Client, _: object, __: object, code: ReasonCode, told: Properties | None
    ) -> None:
        if code.value >= REFUSED:
            self._said = _REFUSALS.get(code.getName(), f"it refuses the connection: {code.getName()}")
            return
        self.is_open, self.number, self._said, self._asked_s = True, self.number + 1, "", None
        self.largest = getattr(told, "MaximumPacketSize", 0)
        self._backoff.reset()
        if self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_publish(self, _: object, __: object, number: int, code: ReasonCode, ___: object) -> None:
        self._unanswered -= 1
        self._asked_s = self._now_s if self._unanswered else None
        is_refused = code.value >= REFUSED
        name = code.getName() if is_refused else ""
        self.deliveries.append(Delivery(number, name, name in _FOR_NOW))

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        with contextlib.suppress(UnicodeDecodeError):  # no topic that was asked for
            self.heard.append(Heard(message.topic, bytes(message.payload), bool(message.retain)))

    def _on_disconnect(self, _: object, __: object, ___: object, code: ReasonCode, ____: object) -> None:
        name = code.getName()
        if code.value >= REFUSED and name != LOST and not self._said:
            self._said = _REFUSALS.get(name, f"it ended the connection: {name}")

    def _lost(self, now_s: float, why: str) -> None:
        self.failures, self.why, self.wait_s = self.failures + 1, why, self._backoff.next_s()
        self._client, self.is_open, self._asked_s, self._unanswered = None, False, None, 0
        self._said, self._next_s = "", now_s + self.wait_s
        self.deliveries.clear()


LOST: Final = "Unspecified error"
"""paho's word for a connection that nobody ended"""
NO_GREETING: Final = "it closed the connection without a word; see that it is an MQTT 5 broker"
_REFUSALS: Final = {
    "Not authorized": "it refuses the user or the password; see mqtt.broker and mqtt.password_file",
    "Bad user name or password": "it refuses the user or the password; see mqtt.broker and mqtt.password_file",
    "Unsupported protocol version": "it doesn't know MQTT 5; update it",
    "Session taken over": "another client has the same name; give each its own mqtt.client_id",
}
_FOR_NOW: Final = ("Unspecified error", "Implementation specific error", "Quota exceeded")
"""refusals that may end"""


def _asked() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = LARGEST_TAKEN
    return properties


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate isn't trusted ({error.verify_message}); name the file of its CA in mqtt.ca"
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({(error.reason or 'unknown').lower().replace('_', ' ')}); see that its port is the one for TLS"
    if isinstance(error, ConnectionResetError):
        return "it closes the connection; see that mqtts:// has the port for TLS, and mqtt:// the other one"
    if isinstance(error, socket.gaierror):
        return f"its name isn't known ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "it doesn't answer"
    return f"can't be reached ({getattr(error, 'strerror', None) or error})"
