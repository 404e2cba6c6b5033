"""In a process under test whose name is in FAULT_IN, Python runs this first: a fault begins when its file appears.

On the way in by PYTHONPATH, so that the program itself has no switch for it.
"""

import asyncio
import ctypes
import gc
import os
import signal
import sys
import threading
import time


def hang(*_: object) -> None:
    """The main thread, in a native call, which lets other threads run."""
    ctypes.CDLL(None).usleep(1_000_000_000)


def hang_all(*_: object) -> None:
    """The same with the interpreter's lock held: nothing in the process moves."""
    ctypes.PyDLL(None).usleep(1_000_000_000)


def hang_loop() -> None:
    """The thread of an event loop, in a call that lets other threads run."""
    (loop,) = (one for one in gc.get_objects() if isinstance(one, asyncio.AbstractEventLoop) and one.is_running())
    loop.call_soon_threadsafe(time.sleep, 1_000_000)


def leak(*_: object) -> None:
    kept = []
    while True:
        kept.append(b"\1" * 20_000_000)
        time.sleep(0.02)


def wait() -> None:
    folder, kind = os.environ["FAULT_DIR"], os.environ["FAULT"]
    while True:
        time.sleep(0.02)
        try:
            os.unlink(os.path.join(folder, "fault"))  # one process, once
        except OSError:
            continue
        if kind == "leak":
            leak()
        if kind == "hang_loop":
            hang_loop()
            return
        os.kill(os.getpid(), signal.SIGALRM)


def set_up() -> None:
    words = sys.orig_argv
    if "jetstream.runtime.worker" in words and os.environ.get("FAULT_IN") in words:
        signal.signal(signal.SIGALRM, hang_all if os.environ["FAULT"] == "hang_all" else hang)
        threading.Thread(target=wait, daemon=True).start()


set_up()
