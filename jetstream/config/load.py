"""A TOML file and `--set` options to a checked Config. An error is one sentence: the key, what is wrong, what to do.

Knows the shape of the tables in `schema`, not their meaning.
"""

import ipaddress
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from jetstream.config.alert_checks import check_alerts
from jetstream.config.merging import merged, tables
from jetstream.config.paths import source_path, with_paths
from jetstream.config.schema import (
    CameraConfig,
    Config,
    MetricsConfig,
    MqttConfig,
    PublishConfig,
    WebConfig,
    with_preset,
)
from jetstream.config.tables import check_finite, check_keys, readable
from jetstream.errors import UserError
from jetstream.masking import host_of, masked_source
from jetstream.visible import between_quotes_kept, decoded


def load(path: Path, *, sets: Sequence[str] = (), overrides: Mapping[str, Any] | None = None) -> Config:
    """The config in a TOML file, changed by `sets`, each `table.key=value`, and by `overrides`, keys by table.

    Raises UserError: the file can't be read, isn't TOML, or doesn't fit the tables of `schema`.
    """
    return build(read_toml(path), where=str(path), sets=sets, overrides=overrides)


def read_toml(path: Path) -> dict[str, Any]:
    """The file as nested maps. Raises UserError: it can't be read or isn't TOML."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}; name a config file, such as configs/default.toml"
        ) from None
    return parse_toml(content, str(path))


def parse_toml(content: bytes, where: str) -> dict[str, Any]:
    """TOML as nested maps; `where` begins the error. Raises UserError: it isn't TOML."""
    text = decoded(content, where)
    try:
        try:
            data = msgspec.toml.decode(text)
        except ValueError:
            if text.isascii():
                raise
            data = msgspec.toml.decode(between_quotes_kept(text))  # with a mark that nobody sees between two keys
    except (
        ValueError,
        RecursionError,
    ) as error:  # msgspec's errors are ValueErrors
        hint = "; write text in quotes" if "Invalid value" in str(error) else ""
        quotes = next((quote for quote in "\u201c\u201d\u201e\u2018\u2019\xab\xbb" if quote in text), "")
        hint = f'; write " instead of {quotes}' if quotes else hint
        raise UserError(f"{where}: not TOML: {error}{hint}") from None
    assert isinstance(data, dict)
    return data


def build(
    data: Mapping[str, Any], *, where: str, sets: Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> Config:
    """Convert `data` (nested maps, as TOML gives them) to a Config, checked, with the preset's values filled in.

    `where` begins every error; `sets` and `overrides` as in `load`. Raises UserError.
    """
    tree = merged(data, sets, overrides)
    check_keys(tree, Config, "", where)
    check_finite(tree, "", where)
    for camera in tables(tree.get("cameras")):
        if type(camera.get("source")) is int:  # a camera's index needs no quotes
            camera["source"] = str(camera["source"])
    try:
        config = msgspec.convert(tree, Config, strict=True)
    except msgspec.ValidationError as error:
        sentence = readable(error, tree, Config, "config")
        raise UserError(f"{where}: {sentence}") from None
    except UnicodeEncodeError:
        raise UserError(f"{where}: a value of --set isn't UTF-8; encode it as UTF-8") from None
    config = with_paths(config, where)
    _check_cameras(config, where)
    config = _with_device(config, is_set="device" in tree.get("gpu", {}), where=where)
    _check_topic(config.publish, where)
    _check_metrics(config.metrics, where)
    _check_web(config.web, where)
    _check_mqtt(config.mqtt, where, sightings=config.sightings.enabled)
    check_alerts(config, where)
    if 0 < config.detect.max_face_px < config.detect.min_face_px:
        raise UserError(f"{where}: detect.max_face_px: {config.detect.max_face_px} is under min_face_px; 0 is no limit")
    return with_preset(config)


def cameras_for(sources: Sequence[str], config: Config) -> tuple[CameraConfig, ...]:
    """A camera for each of `sources`, with all other keys as in the config's first camera."""
    template = config.cameras[0] if config.cameras else CameraConfig(name="template", source="demo")
    cameras: list[CameraConfig] = []
    for spec in sources:
        stem, number = camera_name(spec), 1
        name = stem
        while any(camera.name == name for camera in cameras):
            number += 1
            name = f"{stem}-{number}"
        cameras.append(msgspec.structs.replace(template, name=name, source=source_path(spec, "--source")))
    return tuple(cameras)


def camera_name(spec: str) -> str:
    """A name for a camera from its source: `clip` for videos/clip.mp4, `camera0` for 0, the host of a URL."""
    if spec.isdigit():
        return f"camera{spec}"
    if spec.startswith("gst:"):  # a name must not contain a password
        return "pipeline"
    is_address = "://" in spec or masked_source(spec) != spec
    stem = host_of(spec) or "stream" if is_address else Path(spec.rstrip("/*")).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:32] or "camera"


def _check_topic(publish: PublishConfig, where: str) -> None:
    """Without keys, only this machine may receive names of people. Raises UserError."""
    host = publish.endpoint.removeprefix("tcp://").rpartition(":")[0]
    if publish.endpoint.startswith("tcp://") and not is_loopback(host) and not publish.keys:
        raise UserError(
            f"{where}: publish.endpoint: {publish.endpoint}: only this machine may listen without keys; "
            "use tcp://127.0.0.1:PORT, or make keys (`jetstream keys new`), allow subscribers (`jetstream keys allow`) "
            'and set publish.keys="keys"'
        )
    if publish.endpoint.startswith("ipc://") and publish.keys:
        raise UserError(
            f"{where}: publish.keys: an ipc:// endpoint has no keys, since only this user can open it; leave keys out"
        )


def host_of_endpoint(endpoint: str) -> str:
    """`http://[::1]:5571`: `[::1]`"""
    return endpoint.partition("://")[2].rpartition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`. False for every name but localhost, since it may be anywhere."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_metrics(settings: MetricsConfig, where: str) -> None:
    if not settings.remote and not is_loopback(host_of_endpoint(settings.endpoint)):
        raise UserError(
            f"{where}: metrics.endpoint: {settings.endpoint}: other machines could read it without a password; "
            "use http://127.0.0.1:PORT, or set metrics.remote = true to allow it"
        )
    _check_port(settings.endpoint, f"{where}: metrics.endpoint")


def _check_web(settings: WebConfig, where: str) -> None:
    """That passwords and pictures never cross a network as plain text."""
    scheme, _, address = settings.endpoint.partition("://")
    told = f"{where}: web.endpoint: {settings.endpoint}"
    if bool(settings.cert) != bool(settings.key):
        missing = "key" if settings.cert else "cert"
        raise UserError(f"{where}: web.{missing}: is empty; https needs both web.cert and web.key")
    if scheme == "https" and not settings.cert:
        raise UserError(f"{told}: needs web.cert and web.key, the files of its certificate")
    if scheme == "http" and settings.cert:
        raise UserError(f"{told}: has a certificate, so write https://{address}, or leave out web.cert and web.key")
    if scheme == "http" and not settings.behind_proxy and not is_loopback(host_of_endpoint(settings.endpoint)):
        raise UserError(
            f"{told}: other machines would send passwords without encryption; set web.cert and web.key and write "
            "https, or set web.behind_proxy = true behind a proxy that ends TLS, or use http://127.0.0.1:PORT"
        )
    for index, proxy in enumerate(settings.proxies):
        try:
            ipaddress.ip_address(proxy)
        except ValueError:
            raise UserError(
                f"{where}: web.proxies[{index}]: {proxy}: expected an address, such as 192.168.1.2"
            ) from None
    _check_port(settings.endpoint, f"{where}: web.endpoint")


def _check_mqtt(settings: MqttConfig, where: str, *, sightings: bool) -> None:
    if settings.enabled and not settings.broker:
        raise UserError(f"{where}: mqtt.broker: is empty; name the broker, such as mqtt://user@192.168.1.2:1883")
    if settings.enabled and not sightings:
        raise UserError(
            f"{where}: mqtt.enabled: the broker is told of sightings, and sightings.enabled is false; set it to true, "
            "or mqtt.enabled to false"
        )
    if bool(settings.cert) != bool(settings.key):
        missing = "key" if settings.cert else "cert"
        raise UserError(f"{where}: mqtt.{missing}: is empty; a client's certificate needs both mqtt.cert and mqtt.key")
    if (settings.ca or settings.cert) and settings.broker.startswith("mqtt://"):
        raise UserError(f"{where}: mqtt.broker: has certificates (mqtt.ca, mqtt.cert), so write mqtts://")
    if re.search(r":[0-9]+/?\Z", settings.broker):
        _check_port(settings.broker.rstrip("/"), f"{where}: mqtt.broker")


def _check_port(endpoint: str, where: str) -> None:
    port = int(endpoint.rpartition(":")[2])
    if not 0 < port < 65536:
        raise UserError(f"{where}: {endpoint}: expected a port from 1 to 65535")


def _with_device(config: Config, *, is_set: bool, where: str) -> Config:
    """`gpu.device` is one of `gpu.devices`, and the first unless it `is_set`. Raises UserError."""
    gpu = config.gpu
    for number in gpu.devices:
        if gpu.devices.count(number) > 1:
            raise UserError(
                f"{where}: gpu.devices: GPU {number} is named twice; name it once; for more processes "
                "on it set detect.processes"
            )
    if is_set and gpu.devices and gpu.device not in gpu.devices:
        raise UserError(
            f"{where}: gpu.device: {gpu.device} is not one of gpu.devices = {list(gpu.devices)}; leave out one of the "
            "two keys"
        )
    device = gpu.device if is_set or not gpu.devices else gpu.devices[0]
    return msgspec.structs.replace(config, gpu=msgspec.structs.replace(gpu, device=device))


def _check_cameras(config: Config, where: str) -> None:
    names = [camera.name for camera in config.cameras]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: cameras: two cameras are named {name}; give each its own name")
    for index, camera in enumerate(config.cameras):
        _check_zones(camera, f"{where}: cameras[{index}].zones")
    for index, ignore in enumerate(config.detect.ignore):
        if ignore.camera and ignore.camera not in names:
            raise UserError(f"{where}: detect.ignore[{index}].camera: there is no camera {ignore.camera}")
        x1, y1, x2, y2 = ignore.box
        if x1 >= x2 or y1 >= y2:
            raise UserError(
                f"{where}: detect.ignore[{index}].box: expected x1 < x2 and y1 < y2, got {list(ignore.box)}"
            )


def _check_zones(camera: CameraConfig, where: str) -> None:
    names = [zone.name for zone in camera.zones]
    for index, zone in enumerate(camera.zones):
        if names.count(zone.name) > 1:
            raise UserError(f"{where}: two zones are named {zone.name}; give each its own name")
        (x1, y1), *others = zone.polygon
        if not any((x2 - x1) * (y3 - y1) != (x3 - x1) * (y2 - y1) for (x2, y2), (x3, y3) in itertools.pairwise(others)):
            raise UserError(f"{where}[{index}].polygon: its corners lie on one line; give the corners of an area")
