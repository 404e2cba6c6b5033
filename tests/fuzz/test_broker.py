"""Bytes from a broker: each connection ends or goes on, and none raises."""

import contextlib
import itertools
import socket
from threading import Thread

from jetstream.mqtt.broker_address import BrokerAddress
from jetstream.mqtt.connection import BrokerConnection
from tests.fuzz.mutate import mutated


class LyingBroker:
    """Greets whoever connects with the bytes of `says`."""

    def __init__(self) -> None:
        self.says = b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.thread = Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(1.0)
                    client.recv(1000)
                    client.sendall(self.says)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(1000):
                        pass

    def close(self) -> None:
        self.socket.close()


CONNACK = b"\x20\x09\x00\x00\x06\x21\x00\x14\x22\x00\x0a"
SUBACK, PUBACK, PINGRESP, DISCONNECT = (
    b"\x90\x04\x00\x01\x00\x01",
    b"\x40\x02\x00\x02",
    b"\xd0\x00",
    b"\xe0\x02\x8e\x00",
)
PUBLISH = b"\x32\x0c\x00\x04a/bc\x00\x05\x00hel"


def test_no_broker_however_it_lies_ends_the_sidecar() -> None:
    broker = LyingBroker()
    address = BrokerAddress("127.0.0.1", broker.socket.getsockname()[1], None, None, None)
    told = [CONNACK + SUBACK + PUBLISH + PUBACK, CONNACK + PUBACK * 3, CONNACK + PINGRESP + DISCONNECT, CONNACK]
    for said in itertools.islice(mutated(told, seed=17), 500):
        broker.says = said
        connection = BrokerConnection(address, "x", ("a", b"b"), ["h/status"])
        connection.connect(0.0)
        for _ in range(30):
            if connection.is_open:
                connection.send("t", b"p", 0.0, retain=False)
            connection.turn(0.0, 0.01)
            if connection.failures:
                break
        connection.close()
    broker.close()
