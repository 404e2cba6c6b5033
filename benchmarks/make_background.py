"""Makes jetstream/gallery/backgrounds/NAME.npz: mean and covariance of many people's faces in a network's space.

    python -m benchmarks.make_background [NAME ...] [--data DIR] [--models DIR] [--portraits DIR ...]

Uses one to three faces of each person in the example pictures of open-source projects (CompreFace, dlib, face-api.js),
one of each clip of `video/singles`, and the face of each picture under the folders of `--portraits`. The files of the
package are made with five of those: a hundred pictures each of UTKFace, by its own labels Asian, Black, Indian, White
and others, a fifth of them children of 4 to 12. The sets that names are measured on (glint24_dev, lfw10x10, friends,
hamilton, knn) are left out. Only the mean and the covariance are stored, with the shrinkage of Ledoit and Wolf (2004);
no row is a real person's embedding.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from jetstream import weights
from jetstream.gallery import strangers
from jetstream.gallery.photo_faces import find_faces
from jetstream.gallery.photos import Photo
from jetstream.networks import embedders
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.video.images import read_image
from jetstream.vision.detection.detector import Detector, faces_in
from jetstream.vision.detection.mtcnn import MtcnnDetector
from jetstream.vision.recognition.embedder import Embedder
from tests.support import defaults
from tests.support.defaults import open_source

REPOSITORY = Path(__file__).resolve().parents[1]
GROUPS = ("compreface", "dlib_faces")
PEOPLE = ("bbt_train", "dlib_johns")
PHOTOS_A_PERSON = 2
SMALLEST_PX = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(embedders.SPECS), metavar="NAME")
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models")
    parser.add_argument("--portraits", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    paths = weights.paths(options.models)
    nets = (OnnxRunner(paths.pnet), OnnxRunner(paths.rnet), OnnxRunner(paths.onet))
    detector = MtcnnDetector(defaults.mtcnn(*nets, thresholds=(0.6, 0.7, 0.93), factor=0.709))
    found = [(image, landmarks) for image in images(options.data) if len(landmarks := faces(image, detector))]
    for name in options.names:
        entry = embedders.named(name, options.models)
        embedder = defaults.embedder(OnnxRunner(entry.path), entry.spec)
        looks = [look.embeddings for look in embedder.look(found, mirror=True)]
        looks += [portraits(folder, detector, embedder) for folder in options.portraits]
        make(strangers.file(name), np.concatenate(looks))


def make(path: Path, embeddings: NDArray[np.float32]) -> None:
    fitted = LedoitWolf().fit(embeddings.astype(np.float64))
    factor = np.linalg.cholesky(fitted.covariance_)
    np.savez_compressed(path, mean=embeddings.mean(axis=0), factor=factor.astype(np.float32))
    print(f"{path}: {len(embeddings)} faces, shrunk by {fitted.shrinkage_:.2f}")


def portraits(folder: Path, detector: Detector, embedder: Embedder) -> NDArray[np.float32]:
    """(N, D) embeddings, as those of photos in a faces folder."""
    photos = {str(path): Photo("", path.name, path) for path in sorted(folder.rglob("*.jpg"))}
    found = find_faces(photos, detector, embedder).values()
    return np.array([look.embedding for look in found if look.embedding is not None])


def images(data: Path) -> list[NDArray[np.uint8]]:
    files = [path for group in GROUPS for path in sorted((data / group).iterdir()) if path.suffix in (".jpg", ".png")]
    for group in PEOPLE:
        for person in sorted(path for path in (data / group).iterdir() if path.is_dir()):
            files += sorted(person.iterdir())[:PHOTOS_A_PERSON]
    found = [read_image(path) for path in files]
    for clip in sorted((data / "video" / "singles").glob("*.mp4")):
        with open_source(str(clip)) as frames:
            found.append(next(iter(frames)).image)
    return found


def faces(image: NDArray[np.uint8], detector: Detector) -> NDArray[np.float32]:
    """(N, 5, 2) landmarks of the faces that are large enough."""
    found = faces_in(detector, image)
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).min(axis=1)
    return found.landmarks[sides >= SMALLEST_PX]


if __name__ == "__main__":
    main()
