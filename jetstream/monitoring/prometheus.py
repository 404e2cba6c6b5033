"""The last status and readings as Prometheus metrics, in base units.

The metrics' names are public: dashboards such as `configs/grafana.json` and alerts are built on them. No person's name
is in them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jetstream import __version__
from jetstream.messages import Heartbeat, ProcessStatus, Status
from jetstream.monitoring.health import age_s, newest_frames
from jetstream.monitoring.meters import Readings
from jetstream.runtime.counters import BOUNDS_S, counted, histogram

Rows = Iterable[tuple[tuple[str, ...], float]]
"""values of the labels, and the metric's value"""
BOUND_WORDS = (*(f"{bound:g}" for bound in BOUNDS_S), "+Inf")


class MetricsPage(Collector):
    """`latest` gives the last status and readings, and the time now in ns of CLOCK_MONOTONIC."""

    def __init__(self, latest: Callable[[], tuple[Status | None, Readings, int]]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        status, readings, now_ns = self._latest()
        yield gauge("build_info", "Always 1; which jetstream this is.", [((__version__,), 1)], "version")
        if status is None:
            return
        yield gauge(
            "status_age_seconds", "Seconds since the supervisor published the status.", [((), age_s(status, now_ns))]
        )
        beats = [(process.process, process.beat) for process in status.processes if process.beat]
        yield from processes(status.processes)
        yield from flow(beats)
        yield from faces(beats)
        ages = ((camera, (now_ns - time_ns) * 1e-9) for camera, time_ns in newest_frames(status).items())
        yield gauge(
            "camera_frame_age_seconds",
            "Seconds since the capture of the newest frame that came through, as of the last status.",
            (((camera,), seconds) for camera, seconds in ages),
            "camera",
        )
        yield from machine(readings)


def gauge(name: str, what: str, rows: Rows, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"jetstream_{name}", what, labels=labels), rows)


def counter(name: str, what: str, rows: Rows, *labels: str) -> Metric:
    """`name` without `_total`."""
    return _filled(CounterMetricFamily(f"jetstream_{name}", what, labels=labels), rows)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, rows: Rows) -> Metric:
    for values, value in rows:
        family.add_metric(values, value)
    return family


def processes(states: Sequence[ProcessStatus]) -> Iterator[Metric]:
    """Whether each process runs, and how often it was started again."""
    up = (((process.process,), float(process.state == "running")) for process in states)
    yield gauge("process_up", "1 while the process runs and sends heartbeats.", up, "process")
    restarts = (((process.process,), process.restarts) for process in states)
    yield counter("process_restarts", "Times the process was started again.", restarts, "process")
    silent = (((process.process,), process.silent_s) for process in states if process.silent_s is not None)
    yield gauge(
        "heartbeat_age_seconds", "Seconds since the process's last heartbeat, as of the last status.", silent, "process"
    )


def flow(beats: list[tuple[str, Heartbeat]]) -> Iterator[Metric]:
    """Frames through each process: how many, how fast, how late, how many wait, how many were dropped."""
    rates = (((name,), beat.fps) for name, beat in beats)
    yield gauge("frames_per_second", "Frames handled per second, over the last 10 s.", rates, "process")
    yield counter("frames", "Frames handled.", _counts(beats, "frames"), "process", "camera")
    yield _histogram("latency_seconds", "From a frame's capture to this process's answer.", beats, "latency")
    yield _histogram(
        "work_seconds", "From taking a frame to this process's answer, waits inside included.", beats, "work"
    )
    waiting = (((name, *words), value) for name, beat in beats for words, value in counted(beat.levels, "queue"))
    yield gauge(
        "queue_messages", "Messages that wait at an endpoint, as of the last heartbeat.", waiting, "process", "edge"
    )
    drops = _counts(beats, "drops")
    yield counter("drops", "Frames dropped, by reason and place.", drops, "process", "reason", "edge")
    yield counter("mqtt_untold", "Changes of sightings that the MQTT broker was never told.", _sum(beats, "untold"))


def faces(beats: list[tuple[str, Heartbeat]]) -> Iterator[Metric]:
    """Faces, tracks and answers, without names."""
    yield counter("faces", "Faces detected, a face in each frame.", _sum(beats, "faces"), "camera")
    every = [value for _, value in _sum(beats, "search_every", of_levels=True)]
    yield gauge(
        "detect_search_every",
        "One picture in this many is searched whole now; in the others known faces are verified. Of several processes "
        "that detect, the one that searches least.",
        [((), max(every))] if every else [],
    )
    yield counter("tracks_started", "Tracks begun.", _sum(beats, "tracks"), "camera")
    now = _sum(beats, "tracks", of_levels=True)
    yield gauge("tracks", "Tracks in the newest frame.", now, "camera", "state")
    named = _sum(beats, "named", of_levels=True)
    yield gauge("named_tracks", "Confirmed tracks with a name in the newest frame.", named, "camera")
    votes = _sum(beats, "votes")
    yield counter("votes", "Answers for tracks, by outcome; poor: not embedded.", votes, "camera", "outcome")
    gallery = {words[0]: value for words, value in _sum(beats, "gallery", of_levels=True)}
    for what in ("people", "photos"):
        rows = [((), gallery[what])] if what in gallery else []
        yield gauge(f"gallery_{what}", f"Number of {what} in the gallery in use.", rows)


def machine(readings: Readings) -> Iterator[Metric]:
    """Memory, processor, GPUs, disk."""
    used = readings.processes.items()
    resident = (((name,), use.memory_bytes) for name, use in used)
    yield gauge("process_resident_memory_bytes", "Resident memory, shared memory included.", resident, "process")
    cpu = (((name,), use.cpu_s) for name, use in used)
    yield counter("process_cpu_seconds", "Processor time since the process was started.", cpu, "process")
    yield gauge(
        "process_open_fds", "Open file descriptors.", (((name,), use.descriptors) for name, use in used), "process"
    )
    gpus = [((str(gpu.number), gpu.name), gpu) for gpu in readings.gpus]
    busy = ((labels, gpu.busy) for labels, gpu in gpus if gpu.busy is not None)
    yield gauge("gpu_utilization_ratio", "Share of time in which the GPU ran something.", busy, "gpu", "name")
    used_bytes = ((labels, gpu.used_bytes) for labels, gpu in gpus if gpu.used_bytes is not None)
    yield gauge("gpu_memory_used_bytes", "GPU memory used by all programs.", used_bytes, "gpu", "name")
    memory = ((labels, gpu.memory_bytes) for labels, gpu in gpus if gpu.memory_bytes is not None)
    yield gauge("gpu_memory_bytes", "GPU memory.", memory, "gpu", "name")
    disk = [readings.disk] if readings.disk is not None else []
    yield gauge("recordings_bytes", "Files in the folder of recordings.", (((), one.recordings_bytes) for one in disk))
    yield gauge("disk_free_bytes", "Free on the recordings' disk.", (((), one.free_bytes) for one in disk))
    yield gauge("disk_bytes", "Size of the recordings' disk.", (((), one.size_bytes) for one in disk))


def _counts(beats: list[tuple[str, Heartbeat]], name: str) -> Rows:
    return (((process, *words), value) for process, beat in beats for words, value in counted(beat.counts, name))


def _sum(beats: list[tuple[str, Heartbeat]], name: str, *, of_levels: bool = False) -> Rows:
    """The counts or levels under `name`, each of which is reported by one process only."""
    for _, beat in beats:
        yield from counted(beat.levels if of_levels else beat.counts, name)


def _histogram(name: str, what: str, beats: list[tuple[str, Heartbeat]], counts: str) -> Metric:
    family = HistogramMetricFamily(f"jetstream_{name}", what, labels=("process",))
    for process, beat in beats:
        values = histogram(beat.counts, counts)
        if values.at_most[-1]:
            family.add_metric((process,), list(zip(BOUND_WORDS, values.at_most, strict=True)), values.sum_s)
    return family
