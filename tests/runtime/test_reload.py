"""What a changed config may do to a running pipeline."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from jetstream import pipeline
from jetstream.config.load import build
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.runtime.reload import FIXED, STAGES, Reloader, ReloadPlan, readers, with_key
from jetstream.startup import check_reload
from jetstream.topic import keys
from tests.support.command import free_port
from tests.support.repository import REPOSITORY


def config(**tables: object) -> Config:
    return build(tables, where="test")


def plan(before: Config, after: Config, in_use: Config | None = None) -> ReloadPlan:
    return Reloader(lambda: after, before, lambda plan: None).plan(in_use or before)


def test_nothing_changed_starts_nothing() -> None:
    found = plan(config(), config())

    assert (found.taken, found.kept, found.stages) == ((), (), frozenset())
    assert found.sentence() == "config reloaded: nothing changed"


def test_a_stages_key_starts_that_stage_again_with_it() -> None:
    found = plan(config(), config(track={"max_lost_s": 3}, recognize={"max_distance": 0.4}))

    assert found.config.track.max_lost_s == 3
    assert found.stages == {"track", "recognize"}
    assert found.sentence() == (
        "config reloaded: took track.max_lost_s, recognize.max_distance (recognize, track started again)"
    )


def test_faces_that_shall_be_blurred_are_kept_by_sightings_no_longer() -> None:
    assert "sightings" in plan(config(), config(render={"blur": "unknown"})).stages


def test_alert_that_changes_starts_alerts_again_and_a_first_one_needs_a_restart() -> None:
    front = {"name": "front", "when": ["enter"], "command": ["/bin/true"]}
    found = plan(config(alerts=[front]), config(alerts=[front | {"cooldown_s": 9}]))

    assert (found.taken, found.stages) == (("alerts",), {"alerts"})
    assert plan(config(), config(alerts=[front])).kept == ("alerts",)
    with pytest.raises(UserError, match="is no program that this user may execute"):
        check_reload(plan(config(alerts=[front]), config(alerts=[front | {"command": ["/none"]}])))


def test_what_is_read_once_is_kept_and_said() -> None:
    found = plan(config(), config(pipeline={"slots": 32}, recognize={"faces": "others"}, track={"hold_s": 1}))

    assert found.config.pipeline.slots == 16
    assert found.config.recognize.faces == "faces"
    assert found.config.track.hold_s == 1
    assert found.kept == ("pipeline.slots", "recognize.faces")
    assert found.sentence().endswith("; restart to change pipeline.slots, recognize.faces")


def test_neither_gpus_nor_processes_are_added_to_a_run() -> None:
    found = plan(config(), config(gpu={"devices": [1, 2]}, detect={"processes": 2, "search_every": 2}))

    assert found.taken == ("detect.search_every",)
    assert found.kept == ("detect.processes", "gpu.device", "gpu.devices")


@pytest.mark.parametrize("after", [{"record": {"dir": "rec"}}, {"publish": {"enabled": False}}])
def test_stages_are_neither_added_nor_taken_away(after: dict) -> None:
    found = plan(config(), config(**after))

    assert found.taken == ()
    assert len(found.kept) == 1
    assert pipeline.wanted(found.config) == pipeline.wanted(config())


def test_what_startup_completed_stays() -> None:
    """`prepare` decides the backend and the demo's faces, which no file says."""
    in_use = config(gpu={"backend": "cpu"}, recognize={"faces": "/models/demo-faces"})
    found = plan(config(), config(recognize={"min_quality": 0.1}), in_use)

    assert found.config.gpu.backend == "cpu"
    assert found.config.recognize.faces == "/models/demo-faces"
    assert found.config.recognize.min_quality == 0.1


def test_what_engines_are_built_for_stays_where_they_run() -> None:
    after = config(detect={"min_face_px": 60})

    assert plan(config(), after, config(gpu={"backend": "tensorrt"})).kept == ("detect.min_face_px",)
    assert plan(config(), after, config(gpu={"backend": "cpu"})).taken == ("detect.min_face_px",)


def test_logging_and_limits_start_nothing_again() -> None:
    found = plan(config(), config(pipeline={"log_level": "debug", "restarts": 9}))

    assert found.taken == ("pipeline.restarts", "pipeline.log_level")
    assert found.stages == frozenset()


def test_a_second_reload_goes_on_from_the_first_and_tells_again_of_what_was_kept() -> None:
    files = iter((config(track={"hold_s": 1}, pipeline={"slots": 32}), config(pipeline={"slots": 32})))
    reloader = Reloader(lambda: next(files), config(), lambda plan: None)
    first = reloader.plan(config())
    reloader.took(first)
    second = reloader.plan(first.config)

    assert second.config == config()
    assert second.taken == ("track.hold_s",)
    assert second.kept == ("pipeline.slots",)


def test_a_bad_file_or_a_bad_plan_changes_nothing() -> None:
    def refuse(what: str) -> Callable[..., Config]:
        def raising(*_: object) -> Config:
            raise UserError(what)

        return raising

    with pytest.raises(UserError, match="not TOML"):
        Reloader(refuse("not TOML"), config(), lambda plan: None).plan(config())
    refused = Reloader(lambda: config(track={"hold_s": 1}), config(), refuse("in use"))
    for _ in range(2):
        with pytest.raises(UserError, match="in use"):
            refused.plan(config())


@pytest.mark.parametrize(
    ("publish", "metrics"),
    [
        ("tcp://localhost:{0}", "http://localhost:{1}"),
        ("tcp://0.0.0.0:{0}", "http://0.0.0.0:{1}"),
        ("tcp://127.0.0.1:{2}", "http://127.0.0.1:{2}"),
    ],
)
def test_another_address_of_the_same_port_is_taken_while_the_stages_have_it(
    publish: str, metrics: str, tmp_path: Path
) -> None:
    keys.new(tmp_path / keys.PUBLISHER, "publisher")
    ports = (free_port(), free_port(), free_port())
    before = endpoints(tmp_path, f"tcp://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
    after = endpoints(tmp_path, publish.format(*ports), metrics.format(*ports))
    with socket.create_server(("127.0.0.1", ports[0])), socket.create_server(("127.0.0.1", ports[1])):
        found = Reloader(lambda: after, before, check_reload).plan(before)

    assert found.taken == ("publish.endpoint", "metrics.endpoint")


@pytest.mark.parametrize(
    ("table", "endpoint"),
    [
        ("publish", "tcp://192.0.2.1:{0}"),
        ("metrics", "http://192.0.2.1:{0}"),
        ("publish", "tcp://127.0.0.1:{1}"),
        ("metrics", "http://127.0.0.1:{1}"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused_unless_its_stage_is_run_by_hand(
    table: str, endpoint: str, tmp_path: Path
) -> None:
    """192.0.2.1 is nobody's."""
    keys.new(tmp_path / keys.PUBLISHER, "publisher")
    with socket.create_server(("127.0.0.1", 0)) as other_program:
        port = free_port()
        by_table = {"publish": f"tcp://127.0.0.1:{port}", "metrics": f"http://127.0.0.1:{port}"}
        before = endpoints(tmp_path, **by_table)
        after = endpoints(tmp_path, **by_table | {table: endpoint.format(port, other_program.getsockname()[1])})
        with pytest.raises(UserError, match=rf"{table}\.endpoint: .*(assign requested address|already in use)"):
            Reloader(lambda: after, before, check_reload).plan(before)

        by_hand = with_key(before, "pipeline.without", ("publish", "metrics"))
        after = with_key(after, "pipeline.without", ("publish", "metrics"))
        assert Reloader(lambda: after, by_hand, check_reload).plan(by_hand).stages == frozenset()


@pytest.mark.parametrize(("key", "value"), [("render.blur", "all"), ("mqtt.commands", True)])
def test_what_blurs_stays_as_it_is_while_clips_are_made(key: str, value: object) -> None:
    """Unblurred seconds of each camera are in memory."""
    broker = {"enabled": True, "broker": "mqtt://192.0.2.1"}
    for folder, taken in (("", True), ("clips", False)):
        before = config(clips={"dir": folder}, mqtt=broker)
        assert bool(plan(before, with_key(before, key, value)).taken) == taken


def endpoints(folder: Path, publish: str, metrics: str) -> Config:
    return config(publish={"endpoint": publish, "keys": str(folder)}, metrics={"endpoint": metrics, "remote": True})


def test_a_stage_by_hand_is_not_started_again() -> None:
    before = config(pipeline={"without": ["detect"]})
    found = plan(before, config(pipeline={"without": ["detect"]}, detect={"search_every": 2}))

    assert found.stages == frozenset()


def test_every_table_that_a_stage_reads_starts_it_again() -> None:
    """A stage that reads another table one day would run with old settings after a reload."""
    fixed = {"cameras", "pipeline", "models", "gpu"}
    for stage in pipeline.ROWS:
        source = (REPOSITORY / "jetstream" / "stages" / f"{stage.name}.py").read_text()
        tables = set(re.findall(r"\bconfig\.(\w+)", source)) & set(Config.__struct_fields__) - fixed
        for table in tables:
            readers_of_any_key = {name for key, names in STAGES.items() if key.split(".")[0] == table for name in names}
            assert stage.name in readers_of_any_key, (stage.name, table)


def test_every_key_that_a_stage_reads_starts_it_again() -> None:
    found = set()
    for stage in pipeline.ROWS:
        source = (REPOSITORY / "jetstream" / "stages" / f"{stage.name}.py").read_text()
        for table, key in re.findall(r"\b(?:config\.|self\._)([a-z]+)\.([a-z_]+)", source):
            is_key = table in STAGES and key in getattr(config(), table).__struct_fields__
            if is_key and f"{table}.{key}" not in FIXED:
                found.add(f"{table}.{key}")
                assert stage.name in (readers(f"{table}.{key}", config()) or ()), (stage.name, table, key)
    assert "recognize.min_quality" in found


def test_every_key_in_the_table_exists() -> None:
    for key, stages in STAGES.items():
        table, _, name = key.partition(".")
        assert not name or name in getattr(config(), table).__struct_fields__, key
        assert set(stages) <= {row.name for row in pipeline.ROWS}
        assert readers(key, config()) == stages


CAMERAS = ({"name": "door", "source": "a.mp4"}, {"name": "yard", "source": "b.mp4"})


def cameras(*changes: dict[str, object]) -> Config:
    return config(cameras=[{**camera, **change} for camera, change in zip(CAMERAS, changes, strict=True)])


def test_a_camera_that_was_turned_is_captured_anew_and_no_other() -> None:
    found = plan(cameras({}, {}), cameras({"rotate": 90, "flip": "vertical"}, {}))

    assert found.taken == ("cameras.door.rotate", "cameras.door.flip")
    assert (found.kept, found.stages) == ((), {"capture"})
    assert found.restarts("capture", "door")
    assert not found.restarts("capture", "yard")
    assert found.config == cameras({"rotate": 90, "flip": "vertical"}, {})


def test_a_cameras_other_keys_are_kept_beside_its_mounting() -> None:
    found = plan(cameras({}, {}), cameras({"rotate": 180, "fps": 5}, {}))

    assert (found.taken, found.kept) == (("cameras.door.rotate",), ("cameras",))
    assert found.config == cameras({"rotate": 180}, {})
    assert found.written == found.config


def test_a_cameras_mounting_is_kept_for_the_cameras_that_stay() -> None:
    after = config(cameras=[{**CAMERAS[1], "rotate": 270}])
    found = plan(cameras({}, {}), after)

    assert (found.taken, found.kept) == (("cameras.yard.rotate",), ("cameras",))
    assert found.config == cameras({}, {"rotate": 270})
