"""Parts of vision and video as the default config makes them, so that no test repeats a number of the config.

Each takes what differs by keyword: `tracker(hold_s=1.0)`, `mtcnn(pnet, rnet, onet, min_face_px=20)`.
"""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jetstream.config.schema import CameraConfig, Config, ConfigTable, with_preset
from jetstream.networks import embedders
from jetstream.runners.base import Runner
from jetstream.video import source
from jetstream.video.sink import VideoSink
from jetstream.vision.detection.mtcnn import BATCH, Mtcnn
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import CpuEmbedder, EmbedderSpec
from jetstream.vision.recognition.embedding_space import DLIB_SPACE, EmbeddingSpace
from jetstream.vision.recognition.svm import OneVsRestSvm
from jetstream.vision.tracking.scheduler import RecognitionScheduler
from jetstream.vision.tracking.tracker import Tracker
from jetstream.vision.tracking.votes import Votes

CONFIG = with_preset(Config(cameras=(CameraConfig(name="a", source="demo"),)))


def keywords(call: Callable[..., Any], table: ConfigTable) -> dict[str, Any]:
    """The table's value of each parameter of `call` that is named like a key of it."""
    return {name: getattr(table, name) for name in inspect.signature(call).parameters if hasattr(table, name)}


def tracker(**changes: Any) -> Tracker:
    return Tracker(**{**keywords(Tracker, CONFIG.track), **changes})


def votes(**changes: Any) -> Votes:
    return Votes(**{**keywords(Votes, CONFIG.track), **changes})


def scheduler(**changes: Any) -> RecognitionScheduler:
    return RecognitionScheduler(**{**keywords(RecognitionScheduler, CONFIG.recognize), **changes})


def mtcnn(pnet: Runner, rnet: Runner, onet: Runner, **changes: Any) -> Mtcnn:
    """On the CPU, as `networks.open` makes it: `batch` counts crops there, and no largest face is None."""
    cpu = {"batch": BATCH, "max_face_px": CONFIG.detect.max_face_px or None}
    return Mtcnn(pnet, rnet, onet, **{**keywords(Mtcnn, CONFIG.detect), **cpu, **changes})


def embedder(runner: Runner, spec: EmbedderSpec = embedders.SPECS["dlib"], **changes: Any) -> CpuEmbedder:
    return CpuEmbedder(runner, spec, **{**keywords(CpuEmbedder, CONFIG.recognize), **changes})


def fit(embeddings: np.ndarray, names: Sequence[str], space: EmbeddingSpace = DLIB_SPACE, **changes: Any) -> Classifier:
    return Classifier.fit(embeddings, names, space, **{**keywords(Classifier.fit, CONFIG.recognize), **changes})


def classifier(
    names: Sequence[str],
    photos: np.ndarray,
    owners: np.ndarray,
    machine: OneVsRestSvm,
    bars: np.ndarray,
    **changes: Any,
) -> Classifier:
    settings = {**keywords(Classifier, CONFIG.recognize), **changes}
    return Classifier(names, photos, owners, machine, bars, DLIB_SPACE, **settings)


def classifier_of(arrays: Any) -> Classifier:
    return Classifier.from_arrays(arrays, DLIB_SPACE, **keywords(Classifier.from_arrays, CONFIG.recognize))


def open_source(spec: str, **changes: Any) -> source.Source:
    settings, others = _source_settings(changes)
    return source.open_source(spec, settings, loop=settings.loop, **others)


def probe(spec: str, **changes: Any) -> source.SourceProbe:
    settings, others = _source_settings(changes)
    return source.probe(spec, settings, **others)


def _source_settings(changes: dict[str, Any]) -> tuple[CameraConfig, dict[str, Any]]:
    """The default camera with the `changes` to its keys, and the rest of `changes`."""
    (camera,) = CONFIG.cameras
    keys = {key: value for key, value in changes.items() if key in camera.__struct_fields__}
    return msgspec.structs.replace(camera, **keys), {k: v for k, v in changes.items() if k not in keys}


def video_sink(path: str | Path, **settings: Any) -> VideoSink:
    """`settings`: fps, width and height at least."""
    return VideoSink(path, **{**keywords(VideoSink, CONFIG.record), **settings})
