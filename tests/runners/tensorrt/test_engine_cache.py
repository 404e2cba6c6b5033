"""The cache of engines: names, checks, what becomes of a bad file."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.runners.base import TensorSpec, UnavailableError
from jetstream.runners.tensorrt import engine_cache
from jetstream.runners.tensorrt.engine_cache import EngineRecipe, fixed

RECIPE = EngineRecipe("rnet", "rnet.onnx", "ab" * 32, "tensorrt 8.5.3.1", "H100, 9.0", "fp16", (fixed(64, 3, 24, 24),))
ENGINE = b"\0an engine\n" * 50
INPUTS = (TensorSpec("image", np.dtype(np.float32), (None, 3, 24, 24)),)
OUTPUTS = (TensorSpec("logit", np.dtype(np.float32), (None,)), TensorSpec("half", np.dtype(np.float16), (None, 4)))


def changed(**changes) -> EngineRecipe:
    return msgspec.structs.replace(RECIPE, **changes)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / RECIPE.file
    engine_cache.write(path, RECIPE, ENGINE, INPUTS, OUTPUTS)
    return path


def test_a_name_says_network_and_precision():
    assert RECIPE.file.startswith("rnet-fp16-")
    assert RECIPE.file.endswith(".engine")


@pytest.mark.parametrize(
    "changes",
    [
        {"onnx_sha256": "cd" * 32},
        {"tensorrt": "tensorrt 8.5.3.2"},
        {"tensorrt": "tensorrt_rtx 8.5.3.1"},
        {"gpu": "H100, 8.9"},
        {"precision": "fp32"},
        {"profiles": (fixed(32, 3, 24, 24),)},
        {"profiles": (fixed(64, 3, 24, 24), fixed(8, 3, 24, 24))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_whatever_makes_another_engine_makes_another_name(changes):
    assert changed(**changes).file != RECIPE.file


def test_a_model_in_another_folder_is_the_same_engine():
    assert changed(onnx="/elsewhere/rnet.onnx").file == RECIPE.file


def test_a_recipe_takes_the_models_content(tmp_path):
    model = tmp_path / "rnet.onnx"
    model.write_bytes(b"one")
    facts = {"tensorrt": "t", "gpu": "g", "precision": "fp16", "profiles": (fixed(1, 3, 24, 24),)}
    before = engine_cache.recipe(model, **facts)
    model.write_bytes(b"two")
    assert engine_cache.recipe(model, **facts).key != before.key
    model.unlink()
    with pytest.raises(ModelError, match=r"rnet\.onnx: no such model; run `jetstream models`"):
        engine_cache.recipe(model, **facts)


def test_what_was_written_is_read(file):
    assert engine_cache.read(file, RECIPE) == (ENGINE, INPUTS, OUTPUTS)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-1], "cut off: 549 of 550 bytes"),
        (lambda content: content + b"x", "cut off: 551 of 550 bytes"),
        (lambda content: content[:-1] + b"x", "damaged: its checksum differs"),
        (lambda content: bytes(len(content)), "not an engine made by jetstream, or damaged"),
        (lambda content: content[:30], "not an engine made by jetstream, or damaged"),
        (lambda content: content.replace(b'"length"', b'"width"'), "not an engine made by jetstream, or damaged"),
        (lambda content: content.replace(b"float16", b"floaz16"), "not an engine made by jetstream, or damaged"),
        (lambda content: b"", "not an engine made by jetstream, or damaged"),
    ],
    ids=[
        "one byte short",
        "one byte long",
        "one byte other",
        "zeroed",
        "a beginning",
        "other header",
        "no such dtype",
        "empty",
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(file, damage, reason):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UnavailableError, match=reason):
        engine_cache.read(file, RECIPE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tensorrt": "tensorrt 10.3.0"}, "built with tensorrt 8.5.3.1, found tensorrt 10.3.0"),
        ({"gpu": "Orin, 8.7"}, "built for H100, 9.0, found Orin, 8.7"),
        ({"precision": "fp32"}, "built for another model, precision or size"),
    ],
    ids=["TensorRT", "GPU", "precision"],
)
def test_a_foreign_file_is_refused_with_the_difference(file, changes, reason):
    with pytest.raises(UnavailableError, match=reason):
        engine_cache.read(file, changed(**changes))


def test_a_bad_file_is_set_aside_and_one_is_kept(file):
    for content in (b"first", b"second"):
        file.write_bytes(content)
        bad = engine_cache.set_aside(file)
    assert [path.name for path in file.parent.iterdir()] == [bad.name]
    assert bad.name == f"{RECIPE.file}.bad"
    assert bad.read_bytes() == b"second"


def test_an_engine_under_test_is_set_aside_under_the_same_name(file):
    new = engine_cache.new_path(file)
    file.rename(new)
    assert engine_cache.set_aside(new).name == f"{RECIPE.file}.bad"


def test_what_is_gone_cannot_be_set_aside(tmp_path):
    assert engine_cache.set_aside(tmp_path / RECIPE.file) is None


def test_scan_tells_ready_stale_and_bad(file):
    folder = file.parent
    other = changed(tensorrt="tensorrt 10.3.0")
    engine_cache.write(folder / other.file, other, ENGINE)
    damaged = changed(network="onet")
    (folder / damaged.file).write_bytes(b"nothing")
    (folder / f"pnet-fp16-0.engine{engine_cache.BAD}").write_bytes(b"nothing")
    (folder / "timing.cache").write_bytes(b"no engine")
    found = {one.file: one for one in engine_cache.scan(folder, (RECIPE, damaged))}
    assert found[RECIPE.file].state == "ready"
    assert found[other.file].state == "stale"
    assert "tensorrt 10.3.0" in found[other.file].reason
    assert found[damaged.file].state == "bad"
    assert found[f"pnet-fp16-0.engine{engine_cache.BAD}"].state == "bad"
    assert len(found) == 4


def test_sweep_removes_what_a_killed_build_left_but_not_one_at_work(file):
    left, at_work = engine_cache.new_path(file), file.with_name("pnet.engine.1.new")
    for path in (left, at_work):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    engine_cache.sweep(file.parent)
    assert not left.exists()
    assert at_work.exists()
    assert file.exists()


def test_a_seal_of_any_bytes_is_damage(tmp_path):
    path = tmp_path / "any.engine"
    for seal in (b"\xff\xfe", b"[" * 4000, b"{}"):
        path.write_bytes(engine_cache.MAGIC + seal + b"\nplan")
        with pytest.raises(UnavailableError, match="damaged"):
            engine_cache.read(path, RECIPE)
