"""What a webhook is sent, and that its signature is the one of Standard Webhooks."""

import base64
import hashlib
import hmac
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetstream.alerts import made_up
from jetstream.alerts.destinations import DeliveryOutcome, destination_of
from jetstream.alerts.signature import signed_headers, signing_key
from jetstream.alerts.template import filled, filled_address
from jetstream.errors import UserError
from jetstream.known_secrets import KNOWN
from tests.support.alerts import alert, alerting
from tests.support.receivers import receiver, says

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""of the specification's example"""


def secret_file(folder: Path, text: str = SECRET) -> str:
    path = folder / "secret"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return str(path)


def sent(folder: Path, kind: str = "enter", **keys: Any) -> DeliveryOutcome:
    config = alerting(folder, alert("front", kind, **keys))
    (one,) = config.alerts
    message = made_up.message(one, config, 1_795_900_000_000_000_000)
    return destination_of(one, config).send(message, int(time.time()))


def test_signature_is_that_of_the_specification() -> None:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests: its own figures."""
    body = b'{"test": 2432232314}'
    key = base64.b64decode(SECRET.removeprefix("whsec_"))

    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", body, 1614265330, key)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_receiver_can_verify_what_was_sent(tmp_path: Path) -> None:
    with receiver(says(200)) as server:
        assert sent(tmp_path, webhook=server.url, secret_file=secret_file(tmp_path)).is_sent

    (posted,) = server.posted
    verified(posted.headers, posted.body, SECRET)
    with pytest.raises(ValueError, match="signature"):
        verified(posted.headers, posted.body + b" ", SECRET)
    assert posted.headers["idempotency-key"] == posted.headers["webhook-id"] == posted.json["data"]["id"]
    assert list(posted.json) == ["type", "timestamp", "data"]


def verified(headers: dict[str, str], body: bytes, secret: str) -> None:
    """Written from the specification alone."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        raise ValueError("timestamp")
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    mac = hmac.new(base64.b64decode(secret[6:]), signed, hashlib.sha256)
    given = [one.split(",")[1] for one in headers["webhook-signature"].split(" ") if one.startswith("v1,")]
    if base64.b64encode(mac.digest()).decode() not in given:
        raise ValueError("signature")


@pytest.mark.parametrize("text", ["too-few-letters", "whsec_!!", f"whsec_{base64.b64encode(b'x' * 23).decode()}"])
def test_secret_that_is_none_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = Path(secret_file(tmp_path, text))

    with pytest.raises(UserError, match=r"alerts.a: secret_file: .*: expected whsec_ and 24 to 64 bytes") as caught:
        signing_key(path, "alerts.a")
    assert text not in str(caught.value)


def test_secret_that_others_can_read_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    os.chmod(path, 0o644)
    with receiver(says(200)) as server:
        outcome = sent(tmp_path, webhook=server.url, secret_file=path)

    assert not outcome.is_sent
    assert "others can read it" in outcome.said
    assert server.posted == []


def test_headers_and_body_are_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_TOKEN", 'to"ken{text}')
    body = {"message": "{who}: {text}", "priority": 5, "quiet": True, "key": "${PUSH_TOKEN}", "raw": "a {b"}
    with receiver(says(200)) as server:
        headers = {"Authorization": "Bearer ${PUSH_TOKEN}"}
        assert sent(tmp_path, webhook=server.url, headers=headers, body=body).is_sent

    (posted,) = server.posted
    assert posted.headers["authorization"] == 'Bearer to"ken{text}'
    assert posted.json["message"].startswith("Ada Lovelace: Test of alert front: Ada Lovelace came: a, ")
    assert posted.json | {"message": ""} == {
        "message": "",
        "priority": 5,
        "quiet": True,
        "key": 'to"ken{text}',
        "raw": "a {b",
    }
    assert "ken" not in KNOWN.hidden('to"ken{text}', "***")


def test_name_with_braces_is_not_looked_into() -> None:
    assert filled("{who}", {}, {"who": "{text} ${HOME}", "text": "no"}) == "{text} ${HOME}"


def test_variable_in_an_address_stays_in_its_place() -> None:
    environment = {"TOKEN": "123:AB/c", "ODD": "a?b#c\r\n@d"}

    assert filled_address("https://x/bot${TOKEN}/send", environment) == "https://x/bot123:AB/c/send"
    assert filled_address("https://x/${ODD}", environment) == "https://x/a%3Fb%23c%0D%0A@d"
    with pytest.raises(UserError, match=r"\$\{NONE\} isn't set in the environment"):
        filled_address("https://x/${NONE}", environment)


def test_header_from_the_environment_cannot_add_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_TOKEN", "a\r\nx-evil: 1")
    with receiver(says(200)) as server:
        outcome = sent(tmp_path, webhook=server.url, headers={"X-Key": "${PUSH_TOKEN}"})

    assert not outcome.is_sent
    assert server.posted == []


@pytest.mark.parametrize(
    ("status", "said", "is_refused"),
    [
        (302, "it answered HTTP 302, and redirects are not followed; name the address that it leads to", False),
        (400, "it answered HTTP 400", True),
        (401, "it answered HTTP 401", False),
        (410, "it answered HTTP 410", False),
        (429, "it answered HTTP 429", False),
        (500, "it answered HTTP 500", False),
    ],
)
def test_answer_that_is_no_success_is_a_sentence(tmp_path: Path, status: int, said: str, is_refused: bool) -> None:
    with receiver(says(status, body=b"Ada is not known here")) as server:
        outcome = sent(tmp_path, webhook=server.url)

    assert (outcome.said, outcome.is_refused) == (said, is_refused), "the answer may repeat names: it is apart"
    assert outcome.answer == ("Ada is not known here" if status != 302 else "")


def test_private_address_is_refused_unless_named(tmp_path: Path) -> None:
    with receiver(says(200)) as server:
        outcome = sent(tmp_path, webhook=server.url.replace("http:", "https:"), private=False)

    assert outcome.said.endswith("is private or this machine's; set private = true if that is meant")


def test_program_gets_the_message_and_its_failure_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    path.write_text('#!/bin/sh\ncat > "$1"; echo went wrong >&2; exit ${2:-0}\n')
    path.chmod(0o700)

    assert sent(tmp_path, command=[str(path), str(tmp_path / "got")], private=False).is_sent
    failed = sent(tmp_path, command=[str(path), str(tmp_path / "got"), "7"], private=False)

    assert msgspec.json.decode((tmp_path / "got").read_bytes())["data"]["alert"] == "front"
    assert (failed.is_sent, failed.said) == (False, f"{path} ended with exit code 7")
    assert failed.output == "went wrong"


def test_what_the_config_names_is_checked_before_a_start(tmp_path: Path) -> None:
    def check(**keys: Any) -> str:
        config = alerting(tmp_path, alert("front", "enter", **keys))
        with pytest.raises(UserError) as caught:
            destination_of(config.alerts[0], config).check()
        return str(caught.value)

    assert check(webhook="https://x/${NO_SUCH}").startswith("alerts.front: ${NO_SUCH} isn't set")
    assert check(webhook="https://x/", ca_file=str(tmp_path / "none")).startswith("alerts.front: ca_file: ")
    assert "is no program" in check(command=["/none"], private=False)
    assert check(webhook="https://x/", secret_file=str(tmp_path / "none")).startswith("alerts.front: secret_file: ")


def test_certificates_that_are_none_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("no certificate")
    with receiver(says(200)) as server:
        outcome = sent(tmp_path, webhook=server.url.replace("http:", "https:"), ca_file=str(tmp_path / "ca"))

    assert "holds no certificates that can be read" in outcome.said
