from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.inside import Inside


@pytest.fixture
def jetstream(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """With models of its own, since a gallery is kept beside them, and both portraits as files."""
    for name, image in portraits.items():
        cv2.imwrite(str(tmp_path / f"{name.split()[1].lower()}.png"), image)
    return Inside(tmp_path, own_models)


@pytest.fixture
def both(jetstream: Inside, portraits: dict[str, np.ndarray]) -> str:
    """A picture with Collins left and Hopper right, faces of like size."""
    collins, hopper = (cv2.resize(image, (512, 512)) for image in portraits.values())
    larger = cv2.resize(collins[:300, 70:370], (600, 600))
    cv2.imwrite(str(jetstream.folder / "both.png"), np.hstack([larger, cv2.resize(hopper, (600, 600))]))
    return "both.png"
