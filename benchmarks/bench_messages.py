"""What a message of a frame with two faces costs on its way: processor time of its sender, its reader and `publish`.

    python -m benchmarks.bench_messages [--beside DIRECTORY] [--rounds N]

One process sends `Tracked` to another through the bus, as `track` does, with the counts and heartbeats of a stage: 200
a second, where each message wakes its reader, and as fast as the reader takes them. `publish` makes and sends the
topic's message of each. With `--beside`, the jetstream in that directory (another checkout) does the same in turns.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
COUNT = 2000
PACED_FPS = 200.0
WAYS = ("sender, 200 a second", "reader, 200 a second", "sender, at once", "reader, at once", "publish")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="directory of another checkout of jetstream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def spent_us() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


def tracked(number: int):  # type: ignore[no-untyped-def]  # imported in the child alone, from its own tree
    from jetstream.messages import FrameRef, NameCandidate, Tracked, TrackedFace

    now_ns = time.monotonic_ns()
    frame = FrameRef("camera01", number, now_ns, time.time_ns(), number / 25, True, now_ns, now_ns)
    votes = tuple(NameCandidate(name, 3.25, 7, f"{name}/photo-1.jpg", 0.4) for name in ("ada", "grace"))
    points = (311.5, 220.25, 353.5, 221.0, 330.0, 244.5, 315.0, 268.0, 350.0, 268.5)
    faces = tuple(
        TrackedFace(one, "confirmed", (300.5, 190.25, 366.0, 281.5), 0.998, points, "ada", 0.97, 3.2, votes)
        for one in (1, 2)
    )
    return Tracked(frame=frame, faces=faces)


def send(folder: Path, fps: float) -> None:
    from jetstream.ipc.bus import Outbox, Reader
    from jetstream.messages import Tracked
    from jetstream.runtime.heartbeat import HeartbeatSender

    outbox = Outbox(folder, {Tracked: [Reader("publish", True, True)]})
    heartbeat = HeartbeatSender("track", folder)
    messages = [tracked(number) for number in range(COUNT)]
    time.sleep(1.0)
    begun_us, begun_s = spent_us(), time.monotonic()
    for number, message in enumerate(messages):
        if fps:
            time.sleep(max(0.0, begun_s + number / fps - time.monotonic()))
        heartbeat.beat()
        now_ns = time.monotonic_ns()
        heartbeat.took([message], now_ns)
        stamped = message.stamped(now_ns)
        heartbeat.count(stamped)
        outbox.send(stamped)
        heartbeat.handled(stamped.frame, now_ns)
    time.sleep(0.5)
    print((spent_us() - begun_us) / COUNT)
    outbox.end("track")


def receive(folder: Path) -> None:
    from jetstream.ipc.bus import Inbox
    from jetstream.messages import Tracked
    from jetstream.runtime.heartbeat import HeartbeatSender

    heartbeat = HeartbeatSender("publish", folder)
    inbox = Inbox(folder, "publish", {Tracked: None}, senders=frozenset({"track"}), beat=heartbeat.beat, tick_s=0.2)
    begun_us = 0.0
    for message in inbox:
        begun_us = begun_us or spent_us()
        heartbeat.took([message], time.monotonic_ns())
        if isinstance(message, Tracked):
            heartbeat.handled(message.frame, time.monotonic_ns())
    print((spent_us() - begun_us) / COUNT)


def publish_all(folder: Path) -> None:
    from jetstream.config import load
    from jetstream.ipc.rings import Rings
    from jetstream.stages.publish import publish

    tables = {"publish": {"endpoint": f"ipc://{folder}/topic"}, "sightings": {"enabled": False}}
    config = load.build(tables, where="benchmark")
    messages = [tracked(number) for number in range(COUNT)]
    begun_us = spent_us()
    for _ in publish(iter(messages), Rings({}), config):
        pass
    print((spent_us() - begun_us) / COUNT)


CHILDREN = {
    "slow": lambda folder: send(folder, PACED_FPS),
    "fast": lambda folder: send(folder, 0.0),
    "receive": receive,
    "publish": publish_all,
}


def measured(tree: Path) -> list[float]:
    """Microseconds a message, in the order of WAYS."""
    found = []
    for way in ("slow", "fast"):
        with tempfile.TemporaryDirectory() as folder:
            reader = start(tree, "receive", folder)
            sender = start(tree, way, folder)
            found += [float(sender.communicate()[0]), float(reader.communicate()[0])]
    with tempfile.TemporaryDirectory() as folder:
        found.append(float(start(tree, "publish", folder).communicate()[0]))
    return found


def start(tree: Path, what: str, folder: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree.resolve()), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, __file__, "--child", what, folder]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)


def main() -> None:
    options = arguments()
    if options.child:
        CHILDREN[options.child[0]](Path(options.child[1]))
        return
    trees = [REPOSITORY, *([options.beside] if options.beside else [])]
    rounds = [[measured(tree) for tree in trees] for _ in range(options.rounds)]
    print(f"{options.rounds} rounds, medians, us of processor time a message\n")
    print("| | this |" + (" beside | ratio |" if options.beside else ""))
    print("| --- | --- |" + (" --- | --- |" if options.beside else ""))
    for index, way in enumerate(WAYS):
        mine, *other = (statistics.median(one[tree][index] for one in rounds) for tree in range(len(trees)))
        ratio = statistics.median(one[0][index] / one[-1][index] for one in rounds)
        print(f"| {way} | {mine:.0f} |" + (f" {other[0]:.0f} | {ratio:.2f} |" if other else ""))


if __name__ == "__main__":
    main()
