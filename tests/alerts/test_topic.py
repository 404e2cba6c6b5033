"""Alerts to a topic of a real broker."""

import time
from pathlib import Path

from jetstream.alerts import made_up
from jetstream.alerts.destinations import DeliveryOutcome, destination_of
from jetstream.config.schema import Config
from tests.support.alerts import alert, alerting
from tests.support.brokers import Ears, broker_in
from tests.support.command import free_port


def sent(config: Config) -> DeliveryOutcome:
    (one,) = config.alerts
    message = made_up.message(one, config, 1_795_900_000_000_000_000)
    return destination_of(one, config).send(message, int(time.time()))


def config_for(folder: Path, broker: str) -> Config:
    return alerting(
        folder, alert("front", "enter", private=False, mqtt="home/alarm", send_timeout_s=3.0), mqtt={"broker": broker}
    )


def test_broker_has_it_once_and_holds_nothing(tmp_path: Path) -> None:
    with broker_in(tmp_path / "broker") as broker:
        ears = Ears(broker)
        outcome = sent(config_for(tmp_path, broker.address))
        ears.wait(lambda heard: heard.told("home/alarm"))
        (told,) = ears.told("home/alarm")
        ears.close()

    assert (outcome.is_sent, outcome.said) == (True, "the broker has it")
    assert (told["type"], told["data"]["alert"]) == ("enter", "front")


def test_broker_that_does_not_take_it_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "rights").write_text("topic read #\n")
    away = sent(config_for(tmp_path, f"mqtt://127.0.0.1:{free_port()}"))
    with broker_in(tmp_path / "broker", "allow_anonymous true", f"acl_file {tmp_path / 'rights'}") as broker:
        refused = sent(config_for(tmp_path, broker.address))

    assert not away.is_sent
    assert "can't be reached (Connection refused)" in away.said
    assert not refused.is_sent
    assert "refuses it: Not authorized" in refused.said
