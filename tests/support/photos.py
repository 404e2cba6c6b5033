"""Photos of the two people whose portraits are there, and several made of one."""

from pathlib import Path

import cv2
import numpy as np

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


def write_photo(path: Path, image: np.ndarray) -> Path:
    """`image`, (H, W, 3) uint8 BGR, as a file of a folder that is made; its ending says of which kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def looks(image: np.ndarray) -> list[np.ndarray]:
    """Four looks at the face of one portrait, as unlike each other as photos of two days: 0.15 to 0.45 apart."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    leaning = corners + np.array([[0, 0], [0, height / 4], [0, 0], [0, -height / 4]], np.float32)
    turned = cv2.warpPerspective(image, cv2.getPerspectiveTransform(corners, leaning), (width, height))
    faded = (255 * (image / 255.0) ** 0.5).astype(np.uint8)
    shaded = (image * np.linspace(1, 0.1, width)[None, :, None]).astype(np.uint8)
    narrow, wide = (cv2.resize(each, None, fx=fx, fy=1) for each, fx in ((faded, 0.8), (shaded, 1.35)))
    return [image, turned, narrow, wide]
