"""What is said of a broker that can't be told anything, and that TLS is checked."""

import socket
from pathlib import Path

import pytest

from jetstream.config import secrets
from jetstream.config.schema import Config, MqttConfig
from jetstream.errors import UserError
from jetstream.mqtt.broker_address import address_of
from jetstream.mqtt.clearing import reach
from tests.support.brokers import PASSWORD, USER, Broker, authority, broker_in, password_file, signed
from tests.support.certificates import certificate
from tests.support.command import free_port
from tests.support.telling import Told, settings


def secret(tmp_path: Path, text: str = PASSWORD) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return str(path)


def test_user_with_the_right_password_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with broker_in(tmp_path / "strict", "allow_anonymous false", f"password_file {password_file(tmp_path)}") as broker:
        address = f"mqtt://{USER}@127.0.0.1:{broker.port}"
        assert reach(settings(tmp_path, address, password_file=secret(tmp_path))) == ""
        monkeypatch.setenv("BROKER_PASSWORD", PASSWORD)
        assert reach(settings(tmp_path, address.replace("@", ":${BROKER_PASSWORD}@"))) == ""

        wrong = reach(settings(tmp_path, address, password_file=secret(tmp_path, "wr0ng-one")))
        assert wrong == "it refuses the user or the password; see mqtt.broker and mqtt.password_file"
        assert reach(settings(tmp_path, broker.address)) == wrong, "nobody"


def test_tls_needs_the_right_authority(tmp_path: Path) -> None:
    ca, other = authority(tmp_path / "tls"), authority(tmp_path / "tls", "other")
    cert = signed(ca)
    lines = (f"cafile {ca}", f"certfile {cert}", f"keyfile {cert.with_suffix('.key')}", "allow_anonymous true")
    with broker_in(tmp_path / "broker", *lines) as broker:
        address = f"mqtts://127.0.0.1:{broker.port}"
        told = Told(settings(tmp_path, address, ca=str(ca)))
        told.settle()
        told.close()

        for untrusted in (settings(tmp_path, address, ca=str(other)), settings(tmp_path, address)):
            why = reach(untrusted)
            assert why.startswith("its certificate isn't trusted (")
            assert why.endswith("; name the file of its CA in mqtt.ca")
        elsewhere = reach(settings(tmp_path, f"mqtts://localhost:{broker.port}", ca=str(ca)))
        assert "isn't trusted" in elsewhere, "it is for another name"
        assert "without a word" in reach(settings(tmp_path, broker.address)), "plain text to a port of TLS"


def test_broker_that_asks_for_a_certificate_gets_it(tmp_path: Path) -> None:
    ca = authority(tmp_path / "tls")
    cert, own = signed(ca), signed(ca, "jetstream")
    lines = (f"cafile {ca}", f"certfile {cert}", f"keyfile {cert.with_suffix('.key')}", "require_certificate true")
    with broker_in(tmp_path / "broker", *lines, "use_identity_as_username true") as broker:
        address = f"mqtts://127.0.0.1:{broker.port}"
        key = str(own.with_suffix(".key"))
        assert reach(settings(tmp_path, address, ca=str(ca), cert=str(own), key=key)) == ""
        assert reach(settings(tmp_path, address, ca=str(ca))) != ""


def test_no_broker_there_is_one_clause(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reach(settings(tmp_path, f"mqtt://127.0.0.1:{free_port()}")) == "can't be reached (Connection refused)"
    assert "name isn't known" in reach(settings(tmp_path, "mqtt://no-such-host.invalid"))
    assert "the port for TLS" in reach(settings(tmp_path, broker.address.replace("mqtt:", "mqtts:")))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("jetstream.mqtt.clearing.WAIT_S", 0.5)
        port = silent.getsockname()[1]
        assert reach(settings(tmp_path, f"mqtt://127.0.0.1:{port}")) == "it doesn't answer"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("ca", "no certificate", "name a PEM file with CERTIFICATE in it"),
        ("ca", None, "No such file or directory"),
        ("cert", "no certificate", "name two PEM files that belong together"),
    ],
)
def test_certificate_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)
    given = {name: str(path)} | ({"key": str(path)} if name == "cert" else {})

    with pytest.raises(UserError, match=rf"^mqtt\.{name}: .*{words}"):
        address_of(MqttConfig(enabled=True, broker="mqtts://h", **given))


def test_password_is_shown_nowhere(tmp_path: Path) -> None:
    path = secret(tmp_path, "s3cret-of-the-broker-file")
    address = address_of(MqttConfig(broker="mqtt://ada@192.0.2.1", password_file=path))

    assert address.password == "s3cret-of-the-broker-file"
    assert str(address) == "mqtt://192.0.2.1:1883"
    assert address.sends_password_openly
    assert "s3cret" not in str(UserError(f"trouble with mqtt://ada:{address.password}@192.0.2.1"))
    with pytest.raises(UserError, match=r"^mqtt: password_file: the broker must be an address with a user"):
        secrets.broker(MqttConfig(broker="mqtt://192.0.2.1", password_file=path))
    secrets.know(Config(mqtt=MqttConfig(broker="mqtt://ada:${NO_SUCH}@192.0.2.1")), {})
    with pytest.raises(UserError, match=r"^mqtt\.broker: \$\{NO_SUCH\} isn't set"):
        secrets.broker(MqttConfig(broker="mqtt://ada:${NO_SUCH}@192.0.2.1"), {})


def test_certificate_of_the_page_is_not_taken_for_an_authority(tmp_path: Path) -> None:
    own = certificate(tmp_path)
    lines = (f"certfile {own.cert}", f"keyfile {own.key}", "allow_anonymous true")
    with broker_in(tmp_path / "broker", *lines) as broker:
        config = settings(tmp_path, f"mqtts://127.0.0.1:{broker.port}", ca=str(own.cert))
        assert reach(config) == "", "one that signed itself is its own authority"
