"""Checks and prepares what a run needs before the first frame: sources, models, gallery, a free endpoint, memory.

Each failure is reported in one sentence, before any stage begins.
"""

import contextlib
import logging
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from jetstream import pipeline, weights
from jetstream.alerts import destinations
from jetstream.capturing import fragment_places
from jetstream.config import parts, secrets
from jetstream.config import schema as configuration
from jetstream.config.alert_checks import masked_alert
from jetstream.config.schema import CameraConfig, Config, MetricsConfig, PublishConfig, WebConfig
from jetstream.errors import BusyError, SourceError, UserError
from jetstream.gallery import layout, photos
from jetstream.gallery.prepare import check_learnt, prepare_gallery, with_gallery
from jetstream.ipc.ring import Ring
from jetstream.ipc.segment import segment_name, sweep
from jetstream.logs import kept_in
from jetstream.masking import masked_source
from jetstream.monitoring.address import check_endpoint
from jetstream.mqtt.broker_address import address_of
from jetstream.networks import build
from jetstream.networks.build import prepare_models
from jetstream.networks.devices import check_devices
from jetstream.runtime import run_dir
from jetstream.runtime.prestart import HeldProcesses
from jetstream.runtime.reload import Reloader, ReloadPlan
from jetstream.runtime.supervisor import Supervisor
from jetstream.runtime.worker import run_process
from jetstream.sightings import database
from jetstream.topic import keys
from jetstream.topic.publisher import open_topic
from jetstream.video import address, source
from jetstream.video.address import is_live
from jetstream.video.gop.ring import PacketRing, packets_name
from jetstream.video.probing import Look, look_at
from jetstream.web.access import check_page
from jetstream.web.tls import date_fault

Progress = Callable[[str, float], None]
E = TypeVar("E", PublishConfig, MetricsConfig, WebConfig)

SETTLE_S = 2.0
"""how long a run waits for further cameras once it could start"""

log = logging.getLogger("jetstream")


def run(
    config: Config,
    *,
    duration_s: float | None = None,
    reloader: Reloader | None = None,
    held: HeldProcesses | None = None,
    origins: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run the pipeline of a prepared config until it ends. Raises UserError, RingError, PipelineError.

    `reloader` handles SIGHUP where no terminal sends it; `held` are processes of the pipeline that wait to begin;
    `origins`: where the config's keys came from.
    """
    try:
        check_alone(config)
    except BusyError:
        log.warning("something is in the way; to run beside it, add %s", options_beside(config))
        raise
    with serve(config) as folder, kept_in(folder.lines):
        folder.write_origins(origins)
        Supervisor(config, folder, reloader, held).run(duration_s=duration_s)


def check_alone(config: Config) -> None:
    """Raise UserError where another program uses the run directory or an endpoint."""
    if (folder := run_dir.RunDir(configuration.run_dir(config))).is_running():
        with run_dir.claim(folder.path):
            pass
    if pipeline.starts("publish", config):
        with open_topic(config.publish):
            pass
    if pipeline.starts("metrics", config):
        check_endpoint(config.metrics)
    if pipeline.starts("web", config):
        check_page(config.web)
        check_endpoint(config.web)
    if pipeline.starts("mqtt", config):
        address_of(config.mqtt)


def options_beside(config: Config) -> str:
    """Options with which a pipeline of `config` runs beside another one: free ports and another run directory."""
    folder, names = configuration.run_dir(config), []
    for number in range(2, 100):
        if not (beside := folder.with_name(f"{folder.name}-{number}")).exists():
            names.append(f"--set pipeline.run_dir={beside}")
            break
    if pipeline.starts("publish", config):
        names.append(f"--set publish.endpoint=tcp://127.0.0.1:{free_port()}")
    if pipeline.starts("metrics", config):
        names.append(f"--set metrics.endpoint=http://127.0.0.1:{free_port()}")
    if pipeline.starts("web", config):
        names.append(f"--set web.endpoint=http://127.0.0.1:{free_port()}")
    return " ".join(names)


def free_port() -> int:
    """A port of this machine that no program uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_reload(plan: ReloadPlan) -> None:
    """Raise UserError if a stage that the plan restarts could not start with its config."""
    config = plan.config
    if "record.dir" in plan.taken:
        check_record(config)
    if "sightings.dir" in plan.taken:
        check_sightings(config)
    if "recognize.model" in plan.taken:
        check_learnt(config)
    if plan.restarts("publish") and "publish.endpoint" in plan.taken:
        with open_topic(_beside(plan.before.publish, config.publish)):
            pass
    elif plan.restarts("publish") and config.publish.keys:
        keys.publisher(Path(config.publish.keys))
    if plan.restarts("metrics") and "metrics.endpoint" in plan.taken:
        check_endpoint(_beside(plan.before.metrics, config.metrics))
    if plan.restarts("alerts"):
        check_alerts(config)
    if plan.restarts("web"):
        check_page(config.web)
        if "web.endpoint" in plan.taken:
            check_endpoint(_beside(plan.before.web, config.web))
    if plan.restarts("mqtt"):
        address_of(config.mqtt)


def _beside(before: E, new: E) -> E:
    """`new`, with an endpoint that can be tested while a stage still uses that of `before`: if the port stays the same,
    it is in use by that stage, so the address is tested with any free port."""
    address, _, port = new.endpoint.rpartition(":")
    if port != before.endpoint.rpartition(":")[2]:
        return new
    return msgspec.structs.replace(new, endpoint=f"{address}:0")


def run_alone(name: str, config: Config) -> None:
    """Run one stage (`detect`, or `capture.<camera>`) in this process, in the run directory of the other stages.

    A pipeline that runs there must leave the stage out (`pipeline.without`), and its config is used. Without one, the
    stage that starts first makes the rings.
    """
    row = pipeline.row_of(name)
    folder = run_dir.RunDir(configuration.run_dir(config))
    os.umask(0o077)  # as `run_dir.claim` does
    if folder.is_running():
        config = folder.read_config()
        if row.name not in config.pipeline.without:
            raise UserError(f'--stage {name}: it runs already; start the others with pipeline.without=["{row.name}"]')
        run_process(_process_named(name, row, config), config, folder.path)
        return
    check_sightings(config)
    config = prepare(config)
    with serve(config) as folder:
        run_process(_process_named(name, row, config), config, folder.path)


def _process_named(name: str, row: pipeline.Row, config: Config) -> str:
    names = pipeline.processes(row, config)
    if name == row.name and len(names) == 1:
        return names[0]
    if name not in names:
        raise UserError(f"--stage {name}: name one of {', '.join(names)}")
    return name


@contextmanager
def serve(config: Config) -> Iterator[run_dir.RunDir]:
    """The run directory and the rings of `config`, for as long as they are needed."""
    sweep()
    with run_dir.claim(configuration.run_dir(config)) as folder, ExitStack() as stack:
        names = {camera.name: segment_name(camera.name) for camera in config.cameras}
        packets = {
            camera.name: packets_name(names[camera.name]) for camera in config.cameras if sends_packets(camera, config)
        }
        for camera in config.cameras:
            stack.enter_context(make_ring(camera, config, names[camera.name]))
        for name in packets.values():
            stack.enter_context(PacketRing.create(name, data_bytes=config.pipeline.packets_mb * 10**6))
        stack.enter_context(fragment_places.kept(config))
        folder.write(config, names, packets)
        yield folder


def prepare(config: Config, progress: Progress | None = None, *, for_supervisor: bool = False) -> Config:
    """Check GPUs and sources, build missing models, train the gallery if photos changed; the config to run.

    `for_supervisor`: all of the pipeline is started, so in the live pace its sidecar `build` may make the engines.
    """
    check_devices(config)
    for _ in check_sources(config, settle_s=SETTLE_S):
        pass
    check_record(config)
    prepare_models(config, progress)
    on_gpu = msgspec.structs.replace(config, gpu=msgspec.structs.replace(config.gpu, backend="tensorrt"))
    later = for_supervisor and pipeline.starts("build", on_gpu)
    config = build.prepare(with_gallery(config), progress, later=later)
    prepare_gallery(config, progress)
    return config


def check_sources(config: Config, *, settle_s: float = math.inf) -> Iterator[str]:
    """A line for each camera, as they answer; all are looked at at once. Raises UserError when none is configured, a
    file can't be read, or no camera answers.

    A camera or stream that doesn't answer yet is no error if another one does, nor with `pipeline.wait_for_cameras`:
    it is tried again during the run. `settle_s`: how long the others are waited for once the run could start.
    """
    if not config.cameras:
        raise UserError("no camera: add [[cameras]] to the config, name one with --source, or try `make demo`")
    refuse_cameras(config)
    waiting = {camera.name: camera for camera in config.cameras}
    begun_s = time.monotonic() if config.pipeline.wait_for_cameras else None
    missing: list[SourceError] = []
    for found in look_at({name: _look_of(camera, config) for name, camera in waiting.items()}):
        if found is not None:
            name, result = found
            trouble = _trouble(waiting.pop(name), result, config)
            if trouble is not None:
                missing.append(trouble)
            else:
                begun_s = begun_s or time.monotonic()
                yield f"camera {name}: {result}"
        if begun_s is None:
            continue
        while missing:
            log.warning("%s; it will be tried again", missing.pop(0))
        if time.monotonic() - begun_s > settle_s and all(_may_be_late(camera, config) for camera in waiting.values()):
            for name in waiting:
                log.warning("camera %s: no picture yet; the run starts without it", name)
            return
    if begun_s is None:
        for trouble in missing[1:]:
            log.warning("%s", trouble)
        raise UserError(str(missing[0]))


def refuse_cameras(config: Config) -> None:
    """Raises UserError for a camera in the pace every-frame."""
    if config.pipeline.pace != "every-frame":
        return
    for camera in config.cameras:
        if camera_or_stream(camera.source, every_frame=True) and not address.may_be_film(camera.source):
            raise UserError(no_waiting(camera))


def no_waiting(camera: CameraConfig) -> str:
    return f"{camera.name}: a camera can't wait, so the pace every-frame is for files; use --pace live"


def _look_of(camera: CameraConfig, config: Config) -> Look:
    is_file = not camera_or_stream(camera.source, every_frame=False)
    limit_s = math.inf if is_file else camera.open_timeout_s + camera.read_timeout_s
    # a context of the GPU for each of a hundred cameras at once would take half a minute: `decode` makes one for all
    apart = configuration.decodes_apart(camera, config)
    device = None if apart else configuration.cuda_device(camera, parts.of_camera(config, camera))
    return Look(partial(probe, camera, device), limit_s)


def _trouble(camera: CameraConfig, result: source.SourceProbe | BaseException, config: Config) -> SourceError | None:
    """Why a camera gives no picture yet; None if it does. Raises what the run can't start with."""
    if isinstance(result, SourceError):
        if not _may_be_late(camera, config):
            raise UserError(str(result)) from None
        return result
    if isinstance(result, BaseException):
        raise result
    if result.live and config.pipeline.pace == "every-frame" and result.kind == "network":
        raise UserError(no_waiting(camera))
    return None


def _may_be_late(camera: CameraConfig, config: Config) -> bool:
    """Whether a run starts without this camera."""
    return config.pipeline.pace == "live" and camera_or_stream(camera.source, every_frame=False)


def check_record(config: Config) -> None:
    """Raises UserError when recordings can't be written."""
    if not config.record.dir:
        return
    folder = Path(config.record.dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"record.dir: {folder}: {error.strerror}; name a folder that can be written") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"record.dir: {folder}: can't be written; name another folder, or change its mode")


def check_sightings(config: Config) -> None:
    """Raises UserError when sightings can't be recorded: no permission, or a database of a newer version.

    A damaged one and a busy one are no hindrance: the stage goes on beside the first, and waits for the second.
    """
    if not config.sightings.enabled:
        return
    with contextlib.suppress(database.DamageError, BusyError), database.opened(Path(config.sightings.dir), write=True):
        pass


def check_alerts(config: Config) -> None:
    """Raises UserError when what an alert names can't be used: a variable, a secret, certificates, a program."""
    for alert in config.alerts:
        destinations.destination_of(alert, config).check()


def camera_or_stream(spec: str, *, every_frame: bool = False) -> bool:
    """Whether `spec` is a camera or a stream; false also for an invalid source."""
    try:
        return is_live(spec, every_frame=every_frame)
    except SourceError:
        return False


def probe(camera: CameraConfig, cuda_device: int | None = None) -> source.SourceProbe:
    """Properties of a camera's source, found by reading its first frame. Raises SourceError."""
    return source.probe(secrets.address(camera), camera, cuda_device=cuda_device)


def check(config: Config) -> Iterator[str]:
    """A line for each thing that a run of `config` needs. Raises at the first that is missing, as the run would."""
    check_devices(config)
    yield from check_sources(config)
    folder = Path(config.models.dir)
    yield f"models: {folder}: {'built' if weights.is_built(folder) else 'not built yet; the first run builds them'}"
    known = (
        photos.list_photos(Path(config.recognize.faces)).people if config.recognize.faces != "demo" else ("the demo's",)
    )
    yield f"people: {config.recognize.faces}: {', '.join(known) or 'nobody, so everyone will be unknown'}"
    if config.recognize.faces != "demo":
        for name, why in layout.unreadable(Path(config.recognize.faces)).items():
            yield f"people: {config.recognize.faces}/{name}: can't be read ({why}), only what was learnt before is used"
        yield from (f"people: {slip}" for slip in layout.slips(Path(config.recognize.faces)))
    if config.publish.enabled:
        with open_topic(config.publish):
            pass
        yield f"topic: {config.publish.endpoint}: free, {who_may_listen(config.publish)}"
    if config.metrics.enabled:
        check_endpoint(config.metrics)
        yield f"metrics: {config.metrics.endpoint}: free{', for other machines too' if config.metrics.remote else ''}"
    if config.web.enabled:
        check_page(config.web)
        check_endpoint(config.web)
        yield f"page: {config.web.endpoint}: free"
        if fault := date_fault(config.web):
            yield fault
    if config.mqtt.enabled:
        from jetstream.mqtt.clearing import reach  # paho's import takes long, and no run needs it here

        why = reach(config)
        yield f"broker: {address_of(config.mqtt)}: {why or 'it answers'}"
    if config.sightings.enabled:
        folder = Path(config.sightings.dir)
        if database.is_there(folder):
            with database.opened(folder):
                pass
        yield f"sightings: {folder}"
    check_alerts(config)
    for alert in config.alerts:
        yield f"alert {alert.name}: {', '.join(alert.when)}: {destinations.shown(alert)}"
    yield f"run directory: {configuration.run_dir(config)}"


def who_may_listen(settings: PublishConfig) -> str:
    if not settings.keys:
        return "for programs on this machine"
    return f"for {', '.join(keys.allowed(Path(settings.keys))) or 'nobody but this user'}, by their keys"


def masked_sources(config: Config) -> Config:
    """`config` as it may be shown: without the passwords in its cameras' URLs, in the broker's and in its alerts."""
    cameras = tuple(msgspec.structs.replace(camera, source=address.shown(camera.source)) for camera in config.cameras)
    mqtt = msgspec.structs.replace(config.mqtt, broker=masked_source(config.mqtt.broker))
    return msgspec.structs.replace(config, cameras=cameras, mqtt=mqtt, alerts=tuple(map(masked_alert, config.alerts)))


def sends_packets(camera: CameraConfig, config: Config) -> bool:
    """Whether a camera's source is video that arrives compressed, for `decode`. Of an address of the web its server
    alone knows."""
    try:
        return configuration.decodes_apart(camera, config) and address.kind_of(camera.source) in ("network", "video")
    except SourceError:  # it says so to its capture, too
        return False


def make_ring(camera: CameraConfig, config: Config, name: str) -> Ring:
    """A camera's ring, with a cell for each stage that frames must wait for. Raises RingError."""
    ring = Ring.create(name, slots=config.pipeline.slots, max_width=camera.max_width, max_height=camera.max_height)
    for stage in pipeline.stages_of(config):
        if stage.frees:
            ring.register(stage.row.name)
    return ring
