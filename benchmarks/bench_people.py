"""Training and classification times by number of people: 1 to 5,000 synthetic identities, four photos each.

    python -m benchmarks.bench_people

Identities are drawn from the distribution of real faces (jetstream/gallery/backgrounds/dlib.npz), their photos around
them with the distances of lfw10x10's. Each size runs in its own process, so that memory is its own. Classification:
batches of 32 new photos, median of 200. Training and memory include loading scikit-learn from 2 to 200 people (1 to
2 s and 90 MB). For comparison, the nearest centroid with the same thresholds.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from jetstream.gallery import strangers as background
from jetstream.vision.recognition.classifier import Classifier
from tests.support import defaults

SIZES = (1, 2, 10, 100, 1000, 5000)
PHOTOS, NEW = 4, 2
WITHIN = 0.085  # squared distance of a photo from its person's middle
BATCH, ROUNDS = 32, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, help="one row, in this process")
    options = parser.parse_args()
    if options.people:
        print(row(options.people))
        return
    print(
        "| people | train s | memory MB | ms a batch of 32 | us a face | right % | wrong % | strangers named % |",
        end="",
    )
    print(" nearest centroid: right % | wrong % | strangers % |\n|" + " --- |" * 11, flush=True)
    for size in SIZES:
        subprocess.run([sys.executable, "-m", "benchmarks.bench_people", "--people", str(size)], check=True)


def row(people: int) -> str:
    random = np.random.default_rng(people)
    middles = background.faces("dlib", people, seed=9)[:, None]
    around = random.normal(0, (WITHIN / 128) ** 0.5, (people, PHOTOS + NEW, 128))
    photos = (middles + around).astype(np.float32)
    names = [f"p{person:05}" for person in range(people)]
    started = time.perf_counter()
    learnt = photos[:, :PHOTOS].reshape(-1, 128)
    classifier = defaults.fit(learnt, np.repeat(names, PHOTOS).tolist(), background=background.faces("dlib"))
    trained_s = time.perf_counter() - started
    new = photos[:, PHOTOS:].reshape(-1, 128)[:4000]
    truth = np.repeat(names, NEW)[:4000].tolist()
    strangers = background.faces("dlib", 4000, seed=77)
    batch = np.resize(new, (BATCH, 128))
    ask_s = median_s(classifier, batch)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ours = shares([answer.name for answer in classifier.ask(new)], truth)
    named = np.mean([answer.name is not None for answer in classifier.ask(strangers)])
    # The rival: nearest centroid within its threshold, without the other two decision rules.
    rival = [a.nearest if a.distance <= a.threshold else None for a in classifier.ask(new)]
    rival_named = np.mean([a.distance <= a.threshold for a in classifier.ask(strangers)])
    cells = [f"{people:,}", f"{trained_s:.2f}", f"{memory:.0f}", f"{1e3 * ask_s:.2f}", f"{1e6 * ask_s / BATCH:.1f}"]
    figures = (*ours, named, *shares(rival, truth), rival_named)
    return "| " + " | ".join([*cells, *(f"{100 * figure:.2f}" for figure in figures)]) + " |"


def median_s(classifier: Classifier, batch: np.ndarray) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        classifier.ask(batch)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def shares(answers: list[str | None], truth: list[str]) -> tuple[float, float]:
    """Right and wrong, of all."""
    pairs = list(zip(answers, truth, strict=True))
    return float(np.mean([a == t for a, t in pairs])), float(np.mean([a not in (None, t) for a, t in pairs]))


if __name__ == "__main__":
    main()
