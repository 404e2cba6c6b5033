import subprocess
import sys
from pathlib import Path

import pytest

from jetstream.vision.tracking import single_modules

ASSIGNMENT = """
import numpy as np
from jetstream.vision.tracking.assignment import linear_sum_assignment as alone
from scipy.optimize import linear_sum_assignment as whole

draws = np.random.default_rng(1)
for _ in range(2000):
    table = draws.random(draws.integers(0, 12, 2)).astype(np.float32)
    if draws.random() < 0.5:
        table = np.round(table, 1)  # ties, and whole columns of zeros, as overlaps are
    for ours, theirs in zip(alone(table, maximize=True), whole(table, maximize=True), strict=True):
        assert np.array_equal(ours, theirs), table
"""
FILTER = """
import numpy as np
from jetstream.vision.tracking.filterpy_filter import KalmanFilter as Alone
from filterpy.kalman import KalmanFilter as Whole

assert Alone is not Whole
draws = np.random.default_rng(1)
for _ in range(50):
    pair = [Alone(dim_x=8, dim_z=4), Whole(dim_x=8, dim_z=4)]
    start, spread = draws.normal(size=8), np.diag(draws.random(8) + 0.1)
    for one in pair:
        one.x, one.P, one.H = start.copy(), spread.copy(), np.eye(4, 8)
    for _ in range(20):
        moves, noise = np.eye(8) + 0.1 * draws.normal(size=(8, 8)), np.diag(draws.random(8))
        seen, error = draws.normal(size=4), np.diag(draws.random(4) + 0.01)
        for one in pair:
            one.predict(F=moves, Q=noise)
            one.update(seen, R=error)
        assert pair[0].x.tobytes() == pair[1].x.tobytes()
        assert pair[0].P.tobytes() == pair[1].P.tobytes()
        assert pair[0].log_likelihood == pair[1].log_likelihood
"""


@pytest.mark.parametrize("script", [ASSIGNMENT, FILTER], ids=["assignment", "filter"])
def test_code_loaded_alone_answers_what_its_whole_package_answers(script: str) -> None:
    # in a fresh interpreter: where a package is imported already, it is taken from there
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_package_without_these_files_is_imported_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import filterpy.kalman
    import scipy.optimize

    monkeypatch.setattr(single_modules, "_folder", lambda package: tmp_path)
    assert single_modules.kalman_filter() is filterpy.kalman.KalmanFilter
    assert single_modules.linear_sum_assignment() is scipy.optimize.linear_sum_assignment


def test_package_that_is_not_installed_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="no_such_package_here is not installed"):
        single_modules._folder("no_such_package_here")
