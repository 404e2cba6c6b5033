"""The page's public names: what Prometheus reads, and what the dashboard beside the configs asks for."""

import json
import re

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jetstream.messages import Status
from jetstream.monitoring import top
from jetstream.monitoring.meters import DiskUse, Readings
from jetstream.monitoring.nvml import GpuUse
from jetstream.monitoring.prometheus import MetricsPage
from jetstream.runtime.counters import Counts
from jetstream.runtime.proc import ProcessUse
from tests.support.repository import REPOSITORY
from tests.support.statuses import beat, status

DASHBOARD = REPOSITORY / "configs" / "grafana.json"
UNITS = ("_seconds", "_bytes", "_ratio", "_total", "_info", "_per_second", "_count", "_sum", "_bucket")


def samples(said: Status | None, readings: Readings = Readings()) -> dict[tuple[str, ...], float]:  # noqa: B008 - frozen
    """(name, label values in the order of their names) to value."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MetricsPage(lambda: (said, readings, 2_000_000_000)))
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def everything() -> dict[tuple[str, ...], float]:
    counts = Counts()
    for value_s in (0.001, 0.03, 99.0):
        counts.observe("latency", value_s)
        counts.observe("work", value_s)
    counts.add("drops", "late", "captured.detect", by=3)
    counts.add("frames", "door", by=12)
    counts.add("faces", "door", by=7)
    counts.add("tracks", "door")
    counts.add("votes", "door", "named", by=2)
    levels = {"queue captured.detect": 2, "newest door": 1_500_000_000, "tracks door lost": 1, "named door": 1}
    levels |= {"gallery people": 4, "gallery photos": 9, "search_every": 6}
    readings = Readings(
        processes={"detect": ProcessUse(1000, 2.5, 12)},
        gpus=(GpuUse(0, "H", 0.5, 10, 20), GpuUse(1, "old", None, None, None)),
        disk=DiskUse(1, 2, 3),
    )
    said = status(beat("detect", counts=counts.as_dict()), beat("track", levels=levels), turn_ns=1_000_000_000)
    return samples(said, readings)


def test_before_the_supervisor_speaks_the_page_says_the_version_alone() -> None:
    assert {name for name, *_ in samples(None)} == {"jetstream_build_info"}


def test_counts_and_levels_become_samples_with_labels() -> None:
    page = everything()

    assert page["jetstream_status_age_seconds",] == 1.0
    assert page["jetstream_camera_frame_age_seconds", "door"] == 0.5
    assert page["jetstream_drops_total", "captured.detect", "detect", "late"] == 3
    assert page["jetstream_frames_total", "door", "detect"] == 12
    assert page["jetstream_votes_total", "door", "named"] == 2
    assert page["jetstream_detect_search_every",] == 6
    assert page["jetstream_queue_messages", "captured.detect", "track"] == 2
    assert page["jetstream_latency_seconds_bucket", "0.002", "detect"] == 1
    assert page["jetstream_latency_seconds_bucket", "0.04", "detect"] == 2
    assert page["jetstream_latency_seconds_bucket", "10", "detect"] == 2
    assert page["jetstream_latency_seconds_bucket", "+Inf", "detect"] == 3
    assert abs(page["jetstream_latency_seconds_sum", "detect"] - 99.031) < 1e-6
    assert page["jetstream_gpu_utilization_ratio", "0", "H"] == 0.5
    assert ("jetstream_gpu_utilization_ratio", "1", "old") not in page, "a driver that doesn't say is no 0"


def test_of_several_processes_that_detect_the_one_that_searches_least_is_told() -> None:
    """Prometheus refuses a page on which a sample is twice."""
    beats = [beat(f"detect.{number}", levels={"search_every": every}) for number, every in ((1, 4), (2, 12), (3, 8))]
    said = status(*beats)

    page = MetricsPage(lambda: (said, Readings(), 0))
    told = [sample for metric in page.collect() for sample in metric.samples if "search_every" in sample.name]

    assert [(sample.labels, sample.value) for sample in told] == [({}, 12)]
    lines = top.text(said, 0).splitlines()
    assert [line for line in lines if "searched whole" in line] == [
        "searched whole: 1 picture in 4, by detect.1",
        "searched whole: 1 picture in 12, by detect.2",
        "searched whole: 1 picture in 8, by detect.3",
    ]


def test_names_end_in_base_units_or_say_what_they_count() -> None:
    countless = {"jetstream_process_up", "jetstream_tracks", "jetstream_named_tracks", "jetstream_queue_messages"}
    countless |= {
        "jetstream_detect_search_every",
        "jetstream_gallery_people",
        "jetstream_gallery_photos",
        "jetstream_process_open_fds",
    }
    for name in {name for name, *_ in everything()} - countless:
        assert name.startswith("jetstream_")
        assert name.endswith(UNITS), name


def test_dashboard_asks_for_nothing_but_what_is_there_and_leaves_nothing_out() -> None:
    there = {name for name, *_ in everything()}
    asked = {
        name
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
        for name in re.findall(r"jetstream_\w+", target["expr"])
    }

    assert asked <= there
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in there}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
