"""What is wrong with an alert is one sentence with its key."""

import pytest

from jetstream.config import load
from jetstream.config.alert_checks import masked_alert
from jetstream.errors import UserError

HOOK = 'webhook = "https://example.com/hook"'


def text(keys: str, more: str = "") -> bytes:
    zones = 'zones = [{name = "porch", polygon = [[0, 0], [9, 0], [9, 9]]}]'
    camera = f'[[cameras]]\nname = "door"\nsource = "demo"\narea = "hall"\n{zones}\n'
    return f'{camera}[[alerts]]\nname = "x"\n{keys}\n{more}'.encode()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            f'when = ["entr"]\n{HOOK}',
            "alerts[0].when[0]: is not one of the allowed values, got 'entr' (allowed: enter,",
        ),
        (f"when = []\n{HOOK}", "alerts.x.when: is empty; name what is told, of enter, exit"),
        ('when = ["enter"]', "alerts.x.webhook: name one destination"),
        (f'when = ["enter"]\n{HOOK}\ncommand = ["/bin/true"]', "alerts.x.webhook: name one destination"),
        (f'when = ["enter"]\nwhat = 1\n{HOOK}', "alerts[0].what: unknown key"),
        (f'when = ["enter"]\ncameras = ["yard"]\n{HOOK}', "cameras: there is no camera yard; there are: door"),
        (f'when = ["enter"]\nareas = ["yard"]\n{HOOK}', "areas: there is no area yard; there are: hall"),
        (f'when = ["zone"]\nzones = ["lane"]\n{HOOK}', "zones: there is no zone lane; there are: porch"),
        (f'when = ["zone"]\n{HOOK}', "zones: is empty"),
        (f'when = ["enter"]\nzones = ["porch"]\n{HOOK}', 'add "zone" to when'),
        (f'when = ["unknown"]\nwho = ["Ada"]\n{HOOK}', "who: chooses people"),
        (f'when = ["enter"]\nhours = "22-6"\n{HOOK}', "hours: expected a time of day such as 22:00-06:00, got '22-6'"),
        (f'when = ["enter"]\nhours = "06:00-06:00"\n{HOOK}', "hours: expected a time of day"),
        (f'when = ["enter"]\nhours = "22:00-24:00"\n{HOOK}', "hours: expected a time of day"),
        (f'when = ["enter"]\ndays = ["Monday"]\n{HOOK}', "alerts[0].days[0]: is not one of the allowed values"),
        ('when = ["enter"]\nwebhook = "ftp://example.com"', "webhook: ftp://example.com: expected an address"),
        ('when = ["enter"]\nwebhook = "https://"', "expected an address"),
        ('when = ["enter"]\nwebhook = "https://x:99999/"', "expected an address"),
        ('when = ["enter"]\nwebhook = "https://x/a b"', "expected an address"),
        ('when = ["enter"]\nwebhook = "http://example.com/"', "http sends names without encryption"),
        ('when = ["enter"]\nwebhook = "https://me:pw@example.com/"', "webhook: holds a login"),
        (f'when = ["enter"]\n{HOOK}\nheaders = {{Host = "x"}}', "headers: Host: is set by jetstream"),
        (f'when = ["enter"]\n{HOOK}\nheaders = {{"A B" = "x"}}', "headers: 'A B': is no header"),
        (f'when = ["enter"]\n{HOOK}\nheaders = {{A = "x\\ny"}}', "headers: 'A': is no header"),
        (f'when = ["enter"]\n{HOOK}\nbody = {{a = "{{name}}"}}', "body: {name}: is not known; known are {text}"),
        (
            f'when = ["enter"]\n{HOOK}\nbody = {{a = "x"}}\nlooks = true',
            "looks: a picture is a part of jetstream's own",
        ),
        ('when = ["enter"]\ncommand = ["notify"]', "command[0]: 'notify': write the program's whole path"),
        ('when = ["enter"]\ncommand = ["/bin/true"]\nlooks = true', "looks: is for a webhook; leave it out"),
        ('when = ["enter"]\nmqtt = "a/b"', "alerts.x.mqtt: needs a broker; name it in mqtt.broker"),
        ('when = ["enter"]\nmqtt = "a/#"', "alerts[0].mqtt: has characters or a form that is not allowed"),
        (f'when = ["enter"]\nmqtt = "a"\n{HOOK}', "alerts.x.webhook: name one destination"),
        ('when = ["enter"]\nprivate = true\nwebhook = "http://x/"\nca_file = "a"', "ca_file: is for https"),
    ],
)
def test_wrong_alert_is_one_sentence(keys: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        load.build(load.parse_toml(text(keys), "c.toml"), where="c.toml")

    assert sentence in str(caught.value)
    assert str(caught.value).startswith("c.toml: ")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("[sightings]\nenabled = false\n", "alerts: need sightings; set sightings.enabled = true"),
        ("[sightings]\nlooks = 0\n", "alerts.x.when: stranger_again needs pictures of faces"),
        (f'[[alerts]]\nname = "x"\nwhen = ["exit"]\n{HOOK}\n', "two alerts are named x"),
        ("".join(f'[[alerts]]\nname = "x{n}"\nwhen = ["exit"]\n{HOOK}\n' for n in range(64)), "65 are more than 64"),
    ],
)
def test_alert_that_others_stand_against_is_one_sentence(more: str, sentence: str) -> None:
    content = text(f'when = ["stranger_again"]\n{HOOK}', more)

    with pytest.raises(UserError) as caught:
        load.build(load.parse_toml(content, "c.toml"), where="c.toml")
    assert sentence in str(caught.value)


def test_shown_alert_has_no_secret() -> None:
    keys = (
        'when = ["enter"]\nwebhook = "https://hooks.slack.com/services/T000/B000/x7Yz9QpLm"\n'
        'headers = {Authorization = "Bearer tok123456", X-Key = "${KEY}"}\n'
        'body = {text = "{text}", chat = "12345678", priority = 5}'
    )
    (alert,) = load.build(load.parse_toml(text(keys), "c.toml"), where="c.toml").alerts

    shown = masked_alert(alert)

    assert shown.webhook.startswith("https://hooks.slack.com")
    assert "x7Yz9QpLm" not in shown.webhook
    assert shown.headers == {"Authorization": "***", "X-Key": "${KEY}"}
    assert shown.body == {"text": "{text}", "chat": "***", "priority": 5}
