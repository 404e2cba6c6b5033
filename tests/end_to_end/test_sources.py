"""Whole pipelines with sources that are slow or silent."""

import time
from pathlib import Path

import pytest

from tests.support.clips import demo_clip
from tests.support.http_cameras import Camera
from tests.support.inside import Inside
from tests.support.serving import serving
from tests.support.statuses import frames_in

pytestmark = pytest.mark.pipeline

SLOW_S = 3.0


def test_source_that_opens_again_slowly_is_not_killed_and_a_silent_camera_holds_nothing_up(
    jetstream: Inside, tmp_path: Path, silent_peer: str
) -> None:
    """A looping film whose server takes longer to answer than a process may be silent, beside a silent camera."""
    data = demo_clip(tmp_path / "film.mp4", frames=10).read_bytes()

    class Slow(Camera):
        def reply(self) -> None:
            if self.gets > 3:
                time.sleep(SLOW_S)
            self.answer(200, {"Content-Type": "video/mp4"}, data)

    with serving(Slow) as port:
        (jetstream.folder / "slow.toml").write_text(
            f'[[cameras]]\nname = "film"\nsource = "http://127.0.0.1:{port}/film.mp4"\nloop = true\n'
            f'[[cameras]]\nname = "silent"\nsource = "rtsp://{silent_peer}/cam"\n'
            '[recognize]\nfaces = "demo"\n[pipeline]\nheartbeat_timeout_s = 2\n'
        )
        with jetstream.running("slow.toml", "--headless") as process:
            jetstream.wait(lambda s: Slow.gets > 5, process)
            status = jetstream.wait(lambda s: frames_in(s).get("capture.film", 0) > 30, process)
    assert {p.process for p in status.processes if p.restarts} == set()
    assert "camera silent: no picture yet; the run starts without it" in jetstream.log()
