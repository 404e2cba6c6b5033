"""Event latency and rate of live runs with alerts whose receivers hang or fail, and without alerts, in turn.

    python -m benchmarks.bench_alerts [--pairs N]

Every sighting of friends_dev ($JETSTREAM_DATA) is told to a receiver that never answers, to one that answers 500, to
one that answers at once, and to a program.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.sightings import pairs, runs
from benchmarks.sightings.cast import DATA
from tests.support.receivers import Receiver, hangs, receiver, says

ALERTS = """
[[alerts]]
name = "{name}"
when = ["enter", "named", "exit"]
cooldown_s = 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA}: no such folder; set JETSTREAM_DATA")
    video, faces = DATA / "video" / "friends_dev.mp4", DATA / "friends_refs"
    with (
        tempfile.TemporaryDirectory() as folder,
        receiver(hangs) as stuck,
        receiver(says(500)) as failing,
        receiver(says(200)) as good,
    ):
        work = Path(folder)
        settings = runs.RunSettings({"friends": video}, faces, runs.models_in(work), "live")
        print(f"friends_dev, live, {options.pairs} pairs in turn; load {pairs.load():.1f} before\n", flush=True)
        pairs.report(
            pairs.measured(settings, work, options.pairs, partial(with_alerts, (stuck, failing, good))), "alerts"
        )
        told = {"hangs": stuck, "answers 500": failing, "answers 200": good}
        print(f"\nrequests: {', '.join(f'{how} {len(one.posted)}' for how, one in told.items())}")


def with_alerts(receivers: tuple[Receiver, ...], text: str, enabled: bool) -> str:
    """The config with an alert for each receiver and one for a program, or without."""
    if not enabled:
        return text
    for number, one in enumerate(receivers):
        text += f'{ALERTS.format(name=f"r{number}")}webhook = "{one.url}"\nprivate = true\n'
    return f'{text}{ALERTS.format(name="program")}command = ["/bin/true"]\n'


if __name__ == "__main__":
    main()
