"""The tables of stages and sidecars: each row's function is there, with the signature that the row says."""

import ast
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from jetstream.config import load
from jetstream.config.schema import Config, StageName
from jetstream.errors import UserError
from jetstream.messages import Ended, Message, Tick
from jetstream.pipeline import (
    ROWS,
    SIDECARS,
    STAGES,
    Sidecar,
    Stage,
    camera_of,
    cameras_of,
    config_of,
    processes,
    row_of,
    speaks_for_all,
    stage_named,
    stages_of,
    starts,
)
from tests.support.repository import REPOSITORY

PACKAGE = REPOSITORY / "jetstream"


def config(**tables: Any) -> Config:
    cameras = [{"name": "door", "source": "demo"}, {"name": "yard", "source": "demo"}]
    return load.build({"cameras": cameras, **tables}, where="test")


def kinds_of(hint: Any) -> set[type[Message]]:
    """The message types of `Iterator[A | B]`, or of `Iterator[Sequence[A | B]]`."""
    (item,) = typing.get_args(hint)
    if typing.get_origin(item) is Sequence:
        (item,) = typing.get_args(item)
    return set(typing.get_args(item)) or {item}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_stage_takes_and_sends_what_its_row_says(stage: Stage) -> None:
    hints = typing.get_type_hints(stage.load())
    messages, answers = next(iter(hints.values())), hints["return"]

    extra = {Tick} if stage.tick_s or stage.idle_ticks or not stage.takes else set()
    extra |= {Ended} if stage.asks else set()
    assert kinds_of(messages) == {*stage.takes, *extra}
    assert (typing.get_origin(typing.get_args(messages)[0]) is Sequence) == (stage.batch is not None)
    assert {kind for kind in kinds_of(answers) if kind.is_sent} == set(stage.sends)


@pytest.mark.parametrize("sidecar", SIDECARS, ids=lambda sidecar: sidecar.name)
def test_sidecar_is_driven_by_ticks_and_sends_nothing(sidecar: Sidecar) -> None:
    hints = typing.get_type_hints(sidecar.load())

    assert hints == {"ticks": Iterator[Tick], "config": Config, "return": type(None)}


def test_every_row_stands_where_mypy_checks_its_function() -> None:
    tree = ast.parse((PACKAGE / "stages" / "__init__.py").read_text())
    listed = [
        [(ast.unparse(function.value), function.attr) for function in node.value.elts]
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple)
    ]

    assert listed == [[(row.name, row.name) for row in table] for table in (STAGES, SIDECARS)]


def test_config_knows_the_rows_by_their_names() -> None:
    assert typing.get_args(StageName) == tuple(row.name for row in ROWS)


def test_unknown_stage_is_refused_with_the_names_of_all() -> None:
    names = (
        "capture, decode, detect, track, recognize, render, record, publish, sightings, web, encode, learn, regroup, "
        "build, clips, alerts, metrics, mqtt"
    )
    with pytest.raises(UserError, match=f"^stage detcet: there is none; stages are {names}$"):
        row_of("detcet.door")


def test_stage_has_a_process_for_each_camera_or_one_for_all() -> None:
    assert processes(stage_named("capture"), config()) == ("capture.door", "capture.yard")
    assert processes(stage_named("detect"), config()) == ("detect",)
    assert [row_of(name).name for name in ("capture.door", "detect", "learn")] == ["capture", "detect", "learn"]


def test_stage_whose_cameras_are_shared_has_a_process_for_each_part() -> None:
    split = config(track={"processes": 2})
    assert processes(stage_named("track"), split) == ("track.1", "track.2")
    assert [[camera.name for camera in cameras_of(name, split)] for name in ("track.1", "track.2")] == [
        ["door"],
        ["yard"],
    ]
    assert processes(stage_named("track"), config(track={"processes": 9})) == ("track.1", "track.2")
    assert processes(stage_named("track"), config()) == ("track",)
    assert [camera.name for camera in cameras_of("capture.yard", split)] == ["yard"]
    assert [camera.name for camera in cameras_of("detect", split)] == ["door", "yard"]
    assert [camera_of(name) for name in ("capture.yard", "track.1", "detect", "learn")] == ["yard", "", "", ""]
    following = {stage.row.name: stage.senders for stage in stages_of(split)}
    assert following["recognize"] == following["publish"] == {"track.1", "track.2"}


def test_stage_that_uses_a_gpu_has_a_process_for_each() -> None:
    cameras = [{"name": f"c{n}", "source": "rtsp://c/", "decoder": "shared-cuda"} for n in range(5)]
    two = load.build({"cameras": cameras, "gpu": {"devices": [0, 3]}, "detect": {"processes": 2}}, where="test")
    names = {stage.row.name: processes(stage.row, two) for stage in stages_of(two)}
    senders = {stage.row.name: stage.senders for stage in stages_of(two)}

    assert names["detect"] == ("detect.1", "detect.2", "detect.3", "detect.4")
    assert names["recognize"] == ("recognize.1", "recognize.2")
    assert names["decode"] == ("decode.1", "decode.2")
    assert senders["detect"] == {*(f"capture.c{n}" for n in range(5)), "decode.1", "decode.2"}
    assert senders["track"] == set(names["detect"])
    served = {
        name: (config_of(name, two).gpu.device, [camera.name for camera in cameras_of(name, two)])
        for stage in ("detect", "recognize", "decode")
        for name in names[stage]
    }
    assert served == {
        "detect.1": (0, ["c0", "c4"]),
        "detect.2": (3, ["c1"]),
        "detect.3": (0, ["c2"]),
        "detect.4": (3, ["c3"]),
        "recognize.1": (0, ["c0", "c2", "c4"]),
        "recognize.2": (3, ["c1", "c3"]),
        "decode.1": (0, ["c0", "c2", "c4"]),
        "decode.2": (3, ["c1", "c3"]),
    }
    assert [config_of(f"capture.c{n}", two).gpu.device for n in range(5)] == [0, 3, 0, 3, 0]
    assert [name for name in names["recognize"] if speaks_for_all(name, two)] == ["recognize.1"]
    assert speaks_for_all("publish", two)


def test_encode_serves_the_cameras_that_may_need_it() -> None:
    cameras = [{"name": f"c{n}", "source": "rtsp://c/"} for n in range(9)]
    cameras += [{"name": "web", "source": "http://c/"}, {"name": "desk", "source": "/dev/video0"}]

    def served(**tables: Any) -> dict[str, list[str]]:
        whole = load.build({"cameras": cameras, "clips": {"dir": "clips"}, **tables}, where="test")
        stages = [stage.row for stage in stages_of(whole) if stage.row.name == "encode"]
        return {
            name: [camera.name for camera in cameras_of(name, whole)]
            for stage in stages
            for name in processes(stage, whole)
        }

    assert served() == {"encode": ["web", "desk"]}
    assert served(render={"blur": "unknown"}) == {
        "encode.1": ["c0", "c4", "c8"],
        "encode.2": ["c1", "c5", "web"],
        "encode.3": ["c2", "c6", "desk"],
        "encode.4": ["c3", "c7"],
    }
    assert served(clips={"dir": ""}) == served(pipeline={"pace": "every-frame"}) == {}
    cameras = [*cameras[:9], {"name": "film", "source": "Film.MP4"}]
    assert served() == {}


def test_detect_ends_after_those_that_write_frames() -> None:
    cameras = [{"name": "door", "source": "demo"}, {"name": "yard", "source": "rtsp://yard/", "decoder": "shared-cuda"}]
    apart = load.build({"cameras": cameras}, where="test")
    whole = load.build({"cameras": cameras, "pipeline": {"pace": "every-frame"}}, where="test")
    senders = {stage.row.name: stage.senders for stage in stages_of(apart)}

    assert senders["decode"] == {"capture.door", "capture.yard"}
    assert senders["detect"] == {"capture.door", "capture.yard", "decode"}
    assert "decode" not in [stage.row.name for stage in (*stages_of(config()), *stages_of(whole))]


@pytest.mark.parametrize(("cameras", "parts"), [(1, 1), (32, 1), (33, 2), (100, 4)])
def test_track_has_a_process_for_32_cameras(cameras: int, parts: int) -> None:
    many = load.build({"cameras": [{"name": f"c{n}", "source": "demo"} for n in range(cameras)]}, where="test")
    names = processes(stage_named("track"), many)

    assert len(names) == parts
    served = [camera.name for name in names for camera in cameras_of(name, many)]
    assert sorted(served) == sorted(camera.name for camera in many.cameras)


def test_row_under_the_live_pace() -> None:
    live = config(
        pipeline={"queue_frames": 3, "slots": 20},
        detect={"batch": 8},
        recognize={"batch": 1},
        render={"window": False},
        record={"dir": "rec"},
    )
    resolved = {stage.row.name: stage for stage in stages_of(live)}

    assert list(resolved) == ["capture", "detect", "track", "recognize", "record", "publish", "sightings", "web"]
    assert resolved["detect"].senders == {"capture.door", "capture.yard"}
    assert {name: stage.queue_limit for name, stage in resolved.items()} == {
        "capture": 3, "detect": 3, "track": 64, "recognize": 3, "record": 20, "publish": 64, "sightings": 64,
        "web": 3,
    }  # fmt: skip
    assert [stage.batch_size for stage in resolved.values()] == [None, 8, None, 1, None, None, None, None]
    assert not any(stage.lossless or stage.frees or stage.ordered for stage in resolved.values())


def test_row_under_the_every_frame_pace() -> None:
    every_frame = config(pipeline={"pace": "every-frame"}, render={"window": True}, detect={"batch": 8})
    resolved = {stage.row.name: stage for stage in stages_of(every_frame)}

    assert [name for name, stage in resolved.items() if not stage.lossless] == ["render", "web"]
    assert {name: stage.queue_limit for name, stage in resolved.items() if stage.queue_limit is not None} == {
        "render": 4,
        "web": 4,
    }
    assert resolved["detect"].batch_size == 1
    assert [name for name, stage in resolved.items() if stage.frees] == ["track", "sightings"]
    assert [name for name, stage in resolved.items() if stage.ordered] == ["detect", "track", "sightings"]


def test_stage_run_by_hand_is_not_started() -> None:
    by_hand = config(pipeline={"without": ["publish"]}, render={"window": False})

    assert starts("publish", config())
    assert starts("metrics", by_hand)
    assert not starts("publish", by_hand)
    assert not starts("render", by_hand), "no window is wanted"


def test_no_module_but_the_table_asks_for_a_stage_by_its_name() -> None:
    """A new row must not need an `if` elsewhere."""
    asking = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if set(_texts_asked_for(node)) & {row.name for row in ROWS}:
                asking.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert asking == []


def _texts_asked_for(node: ast.AST) -> Iterator[str]:
    """Constants that are compared, matched, or looked for; `capture.` counts as `capture`."""
    asked: list[ast.AST] = []
    if isinstance(node, ast.Compare):
        asked = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        asked = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        asked = [*node.args] if node.func.attr in ("startswith", "get") else []
    for one in asked:
        for text in ast.walk(one):
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.value.removesuffix(".")
