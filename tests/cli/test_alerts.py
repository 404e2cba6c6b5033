"""The commands about alerts."""

import json
import time
from pathlib import Path

import pytest

from jetstream.config.schema import Config
from tests.support.alerts import running
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.receivers import Receiver, receiver, says
from tests.support.sightings import IDS, at, config_with, face, record

SITE = """
[[cameras]]
name = "a"
source = "demo"
area = "hall"

[[alerts]]
name = "front"
when = ["enter", "camera_down"]
who = ["Ada"]
webhook = "{url}"
private = true
headers = {{X-Key = "secret-value-1"}}

[[alerts]]
name = "strangers"
when = ["unknown"]
unknown_after_s = 0
command = ["/bin/false"]
"""


def site(jetstream: Inside, server: Receiver) -> None:
    (jetstream.folder / "site.toml").write_text(SITE.format(url=server.url))


def test_made_up_alert_is_sent_and_said(jetstream: Inside) -> None:
    with receiver(says(204)) as server:
        site(jetstream, server)
        done = jetstream("alerts", "test", "front", "--config", "site.toml")

    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("alert front: sent to http://127.0.0.1:")
    (posted,) = server.posted
    assert posted.json["data"]["text"].startswith("Test of alert front: Ada came: hall (camera a), ")
    assert "webhook-signature" not in posted.headers
    assert not (jetstream.folder / "sightings").exists(), "a test leaves nothing"


def test_failure_is_one_sentence_and_exit_1(jetstream: Inside) -> None:
    with receiver(says(403, body=b"no such token")) as server:
        site(jetstream, server)
        done = jetstream("alerts", "test", "front", "--config", "site.toml")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "it answered HTTP 403 and said: no such token" in done.stderr
    failed = jetstream("alerts", "test", "strangers", "--config", "site.toml")
    assert (failed.returncode, "/bin/false ended with exit code 1" in failed.stderr) == (1, True)


def test_what_is_not_there_is_a_sentence(jetstream: Inside) -> None:
    with receiver(says(200)) as server:
        site(jetstream, server)
    fails_with(
        jetstream("alerts", "test", "back", "--config", "site.toml"), 2, "no such alert; there are: front, strangers"
    )
    fails_with(jetstream("alerts", "test", "front"), 2, "the config has none; name its file with --config")
    fails_with(jetstream("alerts", "replay"), 2, "the config has none")
    assert "no alerts" in jetstream("alerts", "list").stderr


def test_alerts_are_listed_with_what_became_of_them(jetstream: Inside) -> None:
    (jetstream.folder / "faces" / "Bob").mkdir(parents=True)
    with receiver(says(200)) as server:
        site(jetstream, server)
        empty = json.loads(jetstream("alerts", "list", "--json", "--config", "site.toml").stdout.splitlines()[0])
        config = loaded(jetstream)
        record(config, [at(0)])
        with running(config) as run:
            record(config, [at(0, face(IDS[0], "Ada"), face(IDS[1]))])
            run.until(lambda: server.posted)
            run.until(lambda: "false" in jetstream("alerts", "list", "--json", "--config", "site.toml").stdout)
    done = jetstream("alerts", "list", "--config", "site.toml")
    front, strangers = map(
        json.loads, jetstream("alerts", "list", "--json", "--config", "site.toml").stdout.splitlines()
    )

    assert (empty["sent"], empty["last_sent"]) == (0, None)
    assert (front["sent"], front["waiting"], front["fault"]) == (1, 0, "")
    assert (strangers["waiting"], strangers["fault"]) == (1, "/bin/false ended with exit code 1")
    assert "alert front: who: nobody is enrolled as Ada" in done.stderr
    assert "secret-value-1" not in done.stdout + done.stderr


def loaded(jetstream: Inside) -> Config:
    from jetstream.config import load

    return load.load(
        jetstream.folder / "site.toml", overrides={"sightings": {"dir": str(jetstream.folder / "sightings")}}
    )


def test_replay_says_what_would_have_been_told_and_sends_nothing(jetstream: Inside) -> None:
    with receiver(says(200)) as server:
        site(jetstream, server)
        record(config_with(jetstream.folder, "a"), [at(0, face(IDS[0], "Ada"), face(IDS[1]))])
        time.sleep(1.1)  # what is unknown is told a second later
        done = jetstream("alerts", "replay", "--from", "today", "--config", "site.toml")
        as_json = jetstream("alerts", "replay", "--json", "--config", "site.toml")
        none = jetstream("alerts", "replay", "--to", "yesterday", "--config", "site.toml")

    assert [line.split("  ")[1:3] for line in done.stdout.splitlines()] == [
        ["front", "enter"],
        ["strangers", "unknown"],
    ]
    assert "Ada came: a, " in done.stdout
    assert "camera_down isn't replayed" in done.stderr
    assert [json.loads(line)["sighting"] for line in as_json.stdout.splitlines()] == [IDS[0], IDS[1]]
    assert "nothing would have been told" in none.stderr
    assert server.posted == []
    assert not Path(jetstream.folder, "sightings", "alerts.db").exists()


def test_effective_config_shows_no_secret_of_an_alert(jetstream: Inside) -> None:
    with receiver(says(200)) as server:
        site(jetstream, server)
        done = jetstream("check", "site.toml", sets=True)

    assert "secret-value-1" not in done.stdout
    assert "alert front: enter, camera_down: http://127.0.0.1:" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ('command = ["/none/at/all"]', "alerts.x: command[0]: /none/at/all: is no program"),
        ('webhook = "https://example.com/${NO_SUCH_VARIABLE}"', "alerts.x: ${NO_SUCH_VARIABLE} isn't set"),
        ('webhook = "https://example.com/"\nsecret_file = "none"', "alerts.x: secret_file: none: No such file"),
    ],
)
def test_run_refuses_what_an_alert_cannot_use(jetstream: Inside, keys: str, sentence: str) -> None:
    (jetstream.folder / "site.toml").write_text(
        f'[[cameras]]\nname = "a"\nsource = "demo"\n[[alerts]]\nname = "x"\nwhen = ["enter"]\n{keys}\n'
    )

    done = jetstream("run", "site.toml", "--headless", sets=True)

    fails_with(done, 2, sentence)
