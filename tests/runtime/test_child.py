"""How long a process may be silent."""

import msgspec

from jetstream.config.schema import PipelineConfig
from jetstream.messages import Heartbeat
from jetstream.pipeline import stage_named
from jetstream.runtime.child import StageProcess

BEAT = Heartbeat(
    process="capture.a", pid=1, frames=0, fps=0.0, latency_p50_ms=0.0, latency_p95_ms=0.0, counts={}, levels={}
)
LIMITS = PipelineConfig(heartbeat_timeout_s=5, start_timeout_s=60)


def silence(beat: Heartbeat, now_s: float) -> str:
    child = StageProcess("capture.a", stage_named("capture"))
    child.hear(beat, 100.0)
    return child.silence(LIMITS, 100.0 + now_s)


def test_process_that_says_nothing_of_opening_has_the_usual_limit() -> None:
    assert silence(BEAT, 4.9) == ""
    assert silence(BEAT, 6.0) == "silent for 6 s"


def test_process_that_opens_its_source_has_a_limit_of_its_own() -> None:
    opening = msgspec.structs.replace(BEAT, patience_s=60.0)
    assert silence(opening, 59.0) == ""
    assert silence(opening, 61.0) == "silent for 61 s while it opened its source"
