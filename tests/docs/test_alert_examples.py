"""The examples of docs/alerts.md, each sent to a stand-in that checks what its service asks for."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from jetstream.alerts import made_up
from jetstream.alerts.destinations import WebhookDestination
from jetstream.config import load
from jetstream.config.schema import AlertConfig
from tests.support.receivers import Posted, Receiver, receiver, says
from tools.pages import SITE, Block, blocks

PAGE = SITE / "alerts.md"
ENVIRONMENT = {
    "NTFY_TOPIC": "hall-4711",
    "GOTIFY_TOKEN": "AzyoeNS.D4iJLVa",
    "TELEGRAM_TOKEN": "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11",
    "TELEGRAM_CHAT": "-1001234567890",
    "SLACK_HOOK": "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
}


def ntfy(posted: Posted) -> bool:
    """https://docs.ntfy.sh/publish/#publish-as-json: to the root, with a topic; a priority is 1 to 5."""
    body = posted.json
    allowed = {
        "topic": str,
        "message": str,
        "title": str,
        "priority": int,
        "markdown": bool,
        "click": str,
        "delay": str,
    }
    return (
        posted.target == "/"
        and re.fullmatch(r"[-_A-Za-z0-9]{1,64}", body["topic"]) is not None
        and body.get("priority", 3) in range(1, 6)
        and all(isinstance(value, allowed[key]) for key, value in body.items())
    )


def gotify(posted: Posted) -> bool:
    """https://gotify.net/api-docs: POST /message with the application's token; message is required."""
    body = posted.json
    return (
        posted.target == "/message"
        and posted.headers["x-gotify-key"] == ENVIRONMENT["GOTIFY_TOKEN"]
        and isinstance(body["message"], str)
        and body["message"] != ""
        and isinstance(body.get("title", ""), str)
        and isinstance(body.get("priority", 0), int)
    )


def telegram(posted: Posted) -> bool:
    """https://core.telegram.org/bots/api#sendmessage: chat_id, and text of 1 to 4096 characters."""
    body = posted.json
    return (
        posted.target == f"/bot{ENVIRONMENT['TELEGRAM_TOKEN']}/sendMessage"
        and isinstance(body["chat_id"], int | str)
        and 1 <= len(body["text"]) <= 4096
    )


def slack(posted: Posted) -> bool:
    """https://api.slack.com/messaging/webhooks: to the hook's own path, with a text."""
    return posted.target == f"/services/{ENVIRONMENT['SLACK_HOOK']}" and posted.json["text"] != ""


SERVICES: dict[str, Callable[[Posted], bool]] = {"ntfy": ntfy, "gotify": gotify, "telegram": telegram, "slack": slack}


@contextlib.contextmanager
def stand_in(name: str) -> Iterator[Receiver]:
    """Answers 200 to what the service would take, and 400 to anything else."""

    def answer(connection: socket.socket, number: int) -> None:
        posted, is_taken = server.posted[number], False
        with contextlib.suppress(KeyError, ValueError):
            is_taken = posted.headers["content-type"] == "application/json" and SERVICES[name](posted)
        says(200 if is_taken else 400)(connection, number)

    with receiver(answer) as server:
        yield server


def examples() -> list[Block]:
    return [block for block in blocks(PAGE) if block.marker.startswith("example: ")]


def alert_of(block: Block, server: Receiver) -> AlertConfig:
    """The alert of an example, with its host alone changed."""
    (alert,) = load.build(load.parse_toml(block.text.encode(), block.where), where=block.where).alerts
    _, _, path = alert.webhook.partition("://")[2].partition("/")
    return msgspec.structs.replace(alert, webhook=f"http://127.0.0.1:{server.port}/{path}", private=True)


def test_page_has_an_example_for_each_service() -> None:
    assert [block.marker.removeprefix("example: ") for block in examples()] == list(SERVICES)


def sent(block: Block, server: Receiver, **changed: Any) -> bool:
    alert = msgspec.structs.replace(alert_of(block, server), **changed)
    message = made_up.message(alert, load.build({}, where="test"), time.time_ns())
    return WebhookDestination(alert, ENVIRONMENT).send(message, int(time.time())).is_sent


@pytest.mark.parametrize("block", examples(), ids=lambda block: block.marker.removeprefix("example: "))
def test_example_is_what_its_service_takes(block: Block) -> None:
    with stand_in(block.marker.removeprefix("example: ")) as server:
        assert sent(block, server), server.posted
        assert not sent(block, server, body={"nothing": "{text}"})

    assert "Test of alert front: " in json.dumps(server.posted[0].json)


def test_program_of_the_page_verifies_what_is_sent(tmp_path: Any) -> None:
    (program,) = (block for block in blocks(PAGE) if block.marker == "verifier")
    names: dict[str, Any] = {}
    exec(compile(program.text, program.where, "exec"), names)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    (tmp_path / "hook").write_text(secret)
    (tmp_path / "hook").chmod(0o600)
    with receiver(says(200)) as server:
        assert sent(examples()[0], server, secret_file=str(tmp_path / "hook"))

    (posted,) = server.posted
    names["verify"](posted.headers, posted.body, secret)
    with pytest.raises(ValueError, match="not signed"):
        names["verify"](posted.headers, posted.body + b" ", secret)
    with pytest.raises(ValueError, match="too old"):
        names["verify"]({**posted.headers, "webhook-timestamp": "1"}, posted.body, secret)
