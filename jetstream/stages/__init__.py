"""One module for each row of `pipeline.STAGES` and `pipeline.SIDECARS`. Its function has the row's name.

No module imports a stage: `pipeline` loads the function by name, in the process that runs it. So that mypy knows what
is loaded, the functions are imported here once, in the order of the tables.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetstream.pipeline import SidecarFunction, StageFunction
    from jetstream.stages import (
        alerts,
        build,
        capture,
        clips,
        decode,
        detect,
        encode,
        learn,
        metrics,
        mqtt,
        publish,
        recognize,
        record,
        regroup,
        render,
        sightings,
        track,
        web,
    )

    STAGES: tuple[StageFunction, ...] = (
        capture.capture,
        decode.decode,
        detect.detect,
        track.track,
        recognize.recognize,
        render.render,
        record.record,
        publish.publish,
        sightings.sightings,
        web.web,
        encode.encode,
    )
    SIDECARS: tuple[SidecarFunction, ...] = (
        learn.learn,
        regroup.regroup,
        build.build,
        clips.clips,
        alerts.alerts,
        metrics.metrics,
        mqtt.mqtt,
    )
