"""A user's ONNX file as bytes in and a stored network out: reading it, opening what was made of it, and writing it.

Knows no face. Every error names the user's file, and says that nothing was written.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from jetstream import files
from jetstream.errors import ModelError, UserError
from jetstream.networks import cards
from jetstream.networks.cards import CardFiles, ModelCard
from jetstream.runners.onnxrt import ERRORS, OnnxRunner

Progress = Callable[[str, float], None]
T = TypeVar("T")

_EXPORTERS: Final = {
    ".tflite": "convert it first: python -m tf2onnx.convert --tflite FILE --output FILE.onnx",
    ".pb": "convert it first with tf2onnx",
    ".h5": "convert it first with tf2onnx",
    ".pt": "export it first with torch.onnx.export",
    ".pth": "export it first with torch.onnx.export",
    ".param": "convert it first with ncnn2onnx",
    ".caffemodel": "convert it first to ONNX",
}


def load(path: Path) -> onnx.ModelProto:
    """The file with its external data. Raises UserError where it is none, and ModelError where a part is missing."""
    if hint := _EXPORTERS.get(path.suffix.lower()):
        raise UserError(f"{path}: not an ONNX file; {hint}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror or error})") from None
    except (DecodeError, ValueError) as error:
        raise UserError(f"{path}: not an ONNX file, or damaged ({first_line(error)})") from None
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{path}: its weights are in another file that is missing or damaged ({first_line(error)}); put it beside"
        ) from None
    return model


def check_free(name: str, target: CardFiles) -> None:
    cards.check_name(name)
    if there := target.there:
        raise UserError(
            f"{there[0]}: is there already; choose another --name, or remove it with `jetstream models remove {name}`"
        )


@contextmanager
def opened(content: bytes, file: Path, path: Path) -> Iterator[OnnxRunner]:
    """The network in `content`, whose errors name `path`."""
    file.write_bytes(content)
    try:
        with OnnxRunner(file) as network:
            yield network
    except (*ERRORS, ModelError) as error:
        reason = first_line(error).replace(str(file), path.name).replace("; run `jetstream models` to rebuild it", "")
        if reason.startswith(str(path)):
            raise
        raise ModelError(f"{path}: {reason}; nothing was written") from None


def named(path: Path, do: Callable[[], T]) -> T:
    """What `do` returns; its ModelError begins with the file."""
    try:
        return do()
    except ModelError as error:
        raise ModelError(f"{path}: {error}; nothing was written") from None


def single(values: tuple[float, float, float]) -> float | tuple[float, float, float]:
    return values[0] if len(set(values)) == 1 else values


def whole(given: ModelCard, path: Path, content: bytes, notes: Sequence[str]) -> ModelCard:
    """The card with what identifies the file and what was changed in it."""
    return msgspec.structs.replace(
        given,
        file=path.name,
        original_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        added=date.today().isoformat(),
        repairs=tuple(notes),
    )


def write(target: CardFiles, content: bytes, background: bytes, card: ModelCard) -> None:
    try:
        if background:
            files.replace(target.background, background)
        files.replace(target.onnx, content)
        files.replace(target.card, cards.to_toml(card))
    except OSError as error:
        for path in target.there:
            path.unlink(missing_ok=True)
        raise UserError(f"{target.onnx}: can't be written ({error.strerror}); make its folder writable") from None


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
