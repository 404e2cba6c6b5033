"""What others may switch over MQTT, with mqtt.commands: recording and blurring of each camera. Knows no connection.

`camera/<name>/record/set` and `camera/<name>/blur/set` take ON and OFF, from messages that aren't retained: an old one
would switch again at each connection.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from jetstream.config.schema import Config, run_dir
from jetstream.mqtt.connection import Heard
from jetstream.mqtt.states import on_off
from jetstream.mqtt.topics import Topics
from jetstream.runtime import switches
from jetstream.runtime.run_dir import SWITCHES
from jetstream.runtime.switches import AS_CONFIGURED

Switch = Literal["record", "blur"]
SWITCHED: Final[Mapping[bytes, bool]] = {b"ON": True, b"OFF": False}

log = logging.getLogger(__name__)


class BrokerCommands:
    """The switches of a run, and what becomes of them."""

    def __init__(self, config: Config) -> None:
        self._config, self._topics = config, Topics(config.mqtt.prefix)
        self._path = run_dir(config) / SWITCHES
        self._places = dict(places(config))
        self._switches = switches.read(self._path) if self._places else {}

    @property
    def topics(self) -> list[str]:
        """To be heard."""
        return list(self._places)

    def take(self, heard: Heard) -> bool:
        """Do what a message says; whether anything changed."""
        if heard.topic not in self._places or heard.payload not in SWITCHED or heard.retained:
            return False
        camera, switch = self._places[heard.topic]
        before, value = self._switches.get(camera, AS_CONFIGURED), SWITCHED[heard.payload]
        after = msgspec.structs.replace(before, **{switch: value})
        if after == before:
            return False
        self._switches[camera] = after
        log.info("camera %s: %s switched %s over MQTT", camera, switch, heard.payload.decode())
        self.keep()
        return True

    def keep(self) -> None:
        """Write the file of switches where it isn't as it should be, as after a cleaner. Where it can't be written,
        what was switched isn't done, and the log says so."""
        if self._switches == switches.read(self._path):
            return
        try:
            switches.write(self._path, self._switches)
        except OSError as error:
            log.warning("%s: %s; nothing can be switched over MQTT", self._path, error.strerror)
            self._switches = switches.read(self._path)

    def states(self) -> Iterator[tuple[str, bytes]]:
        """A retained topic for each switch: as things are, not as they were asked to be."""
        for camera, switch in self._places.values():
            now = self._switches.get(camera, AS_CONFIGURED)
            is_on = now.blur or self._config.render.blur == "all" if switch == "blur" else now.record
            yield self._topics.camera(camera, switch), on_off(is_on)


def places(config: Config) -> Iterator[tuple[str, tuple[str, Switch]]]:
    """Topics, and the camera and switch of each: recording only where the config has cameras recorded."""
    topics = Topics(config.mqtt.prefix)
    for camera in config.cameras if config.mqtt.commands else ():
        if config.record.dir:
            yield topics.camera(camera.name, "record/set"), (camera.name, "record")
        yield topics.camera(camera.name, "blur/set"), (camera.name, "blur")
