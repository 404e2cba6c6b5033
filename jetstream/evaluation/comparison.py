"""The same evaluation with every embedding network, on the user's own photos.

The gallery in use stays as it is; those of the other networks are made in a temporary folder.
"""

import tempfile
from pathlib import Path

import msgspec

from jetstream import startup
from jetstream.config.schema import Config, engines_dir
from jetstream.evaluation.evaluate import Evaluation, Progress, ReportContext, evaluate
from jetstream.gallery.prepare import prepare_gallery, with_gallery
from jetstream.networks import embedders
from jetstream.networks.build import prepare_models


def evaluate_one(
    config: Config, test: Path | None, truth: Path | None, progress: Progress
) -> tuple[Evaluation, ReportContext]:
    """Train where photos changed, then evaluate. Raises what `evaluate` and the training raise."""
    if truth is not None:
        config = startup.prepare(config, progress)
    else:
        prepare_models(config, progress)
        config = with_gallery(config)
        prepare_gallery(config, progress)
    return evaluate(config, test, truth, progress)


def compare(config: Config, test: Path | None, truth: Path | None, progress: Progress) -> dict[str, Evaluation]:
    """The evaluation with each network, under its name. Raises what `evaluate_one` raises."""
    in_use = embedders.embedder_of(config).spec.name
    prepare_models(config, progress)
    results = {}
    with tempfile.TemporaryDirectory(prefix="jetstream-compare-") as folder:
        elsewhere = _with_models_in(config, Path(folder))
        for name in embedders.names(Path(config.models.dir)):
            asked = config if name == in_use else elsewhere
            recognize = msgspec.structs.replace(asked.recognize, model=name)
            results[name], _ = evaluate_one(msgspec.structs.replace(asked, recognize=recognize), test, truth, progress)
    return results


def _with_models_in(config: Config, folder: Path) -> Config:
    """The same networks in `folder`, where the galleries go, too: one beside that in use could be taken for it."""
    for path in Path(config.models.dir).absolute().iterdir():
        if path.suffix in (".onnx", ".toml", ".npz"):
            (folder / path.name).symlink_to(path)
    return msgspec.structs.replace(
        config,
        models=msgspec.structs.replace(config.models, dir=str(folder)),
        gpu=msgspec.structs.replace(config.gpu, engines_dir=str(engines_dir(config))),
    )
