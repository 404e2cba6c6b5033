"""Event latency and rate of eight cameras with everything that tells others of sightings, and without, in turn.

    python -m benchmarks.bench_doors [--pairs N] [--fps F]

With: clips of all cameras, an MQTT broker (a real mosquitto), an alert to a server that answers, one to a server that
hangs, and one that starts a program. Needs mosquitto and $JETSTREAM_DATA.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.sightings import pairs, runs
from benchmarks.sightings.cast import DATA
from tests.support.brokers import Broker, broker_in
from tests.support.receivers import HANG_S, Receiver, says

FILMS = (10, 12, 14, 18, 10, 12, 14, 18)


def doors(folder: Path, broker: Broker, urls: dict[str, str]) -> str:
    alerts = [f'[[alerts]]\nname = "{name}"\nwebhook = "{url}"\nprivate = true\n' for name, url in urls.items()]
    alerts.append('[[alerts]]\nname = "program"\ncommand = ["/bin/cat"]\n')
    common = 'when = ["enter", "exit", "named", "unknown"]\ncooldown_s = 0\n'
    return "".join(
        [
            f'[clips]\ndir = "{folder / "clips"}"\n',
            f'[mqtt]\nenabled = true\nbroker = "{broker.address}"\n',
            *(f"{one}{common}" for one in alerts),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--fps", type=float, default=5.0, help="of each camera, so that two cores carry them")
    parser.add_argument("--seconds", type=float, default=45.0, help="of a run; the first third isn't counted")
    options = parser.parse_args()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(broker_in(work / "broker"))
        servers = {"answers": Receiver(says(200)), "hangs": Receiver(lambda *_: time.sleep(HANG_S))}
        for server in servers.values():
            stack.callback(server.close)
        videos = {f"cam{number}": DATA / "video" / "singles" / f"d{film}.mp4" for number, film in enumerate(FILMS)}
        settings = runs.RunSettings(videos, DATA / "friends_refs", runs.models_in(work), "live")
        tables = doors(work, broker, {name: server.url for name, server in servers.items()})
        print(
            f"8 cameras at {options.fps:g} frames/s, {options.pairs} pairs; load {pairs.load():.1f} before\n",
            flush=True,
        )

        def changed(text: str, has: bool) -> str:
            slower = text.replace("[[cameras]]", f"[[cameras]]\nloop = true\nfps = {options.fps}")
            return f"{slower}{tables}" if has else slower

        found = pairs.measured(settings, work, options.pairs, changed, options.seconds)
        pairs.report(found, "all of it")
        clips = len(list((work / "clips").glob("*/*.mp4")))
        taken, hanging = (len(servers[name].posted) for name in ("answers", "hangs"))
        print(f"\nclips {clips}, posts taken {taken}, and {hanging} that hang")


if __name__ == "__main__":
    main()
