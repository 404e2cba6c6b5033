"""How long each camera has given no frames, from the supervisor's status. Pure: time is an argument."""

from collections.abc import Collection

from jetstream.messages import Status
from jetstream.monitoring.health import newest_frames
from jetstream.pipeline import camera_of


class CameraWatch:
    """The cameras of a run, from when this is made. Times are of CLOCK_MONOTONIC."""

    def __init__(self, cameras: Collection[str], now_ns: int) -> None:
        self._newest_ns = dict.fromkeys(cameras, now_ns)

    def saw(self, status: Status) -> dict[str, float]:
        """Seconds since the newest frame of each camera, or since this was made; without files that have ended."""
        for camera, newest_ns in newest_frames(status).items():
            if camera in self._newest_ns:
                self._newest_ns[camera] = max(self._newest_ns[camera], newest_ns)
        ended = {camera_of(process.process) for process in status.processes if process.state == "done"}
        return {
            camera: max(0.0, (status.turn_ns - newest_ns) * 1e-9)
            for camera, newest_ns in self._newest_ns.items()
            if camera not in ended
        }
