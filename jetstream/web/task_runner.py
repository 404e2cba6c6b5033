"""Has tasks done by another process, of low priority: `python -m jetstream.changes.process PID`. Pictures are decoded
there, what goes wrong there doesn't touch the page's process, and no frame waits for it.

Short tasks share one process, whose networks stay open until it had nothing to do for a while. A long one has a process
of its own.
"""

import contextlib
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, TypeVar

import msgspec

from jetstream.config.schema import Config
from jetstream.errors import BusyError, JetstreamError, UserError
from jetstream.web.limits import Turns
from jetstream.web.tasks import AnyTask, TaskAnswer, TaskLine, TaskProgress, TaskRequest

MODULE: Final = "jetstream.changes.process"  # by its name: it is a layer above this one
SHORT_S: Final = 60.0
"""longest time for a short task, and for waiting until it is its turn"""
MOST_WAITING: Final = 24
"""short tasks that are done or wait, each in one of some 40 threads"""
LONG_S: Final = 1800.0
MOST_LONG: Final = 2
MOST_REMEMBERED: Final = 50
"""long tasks that have ended"""

A = TypeVar("A")
log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(TaskLine)


class TaskStatus(msgspec.Struct, frozen=True):
    """How far a long task is."""

    id: str
    state: Literal["running", "done", "failed"]
    what: str = ""
    """what is being done"""
    share: float = 0.0
    """done, 0 to 1"""
    answer: msgspec.Raw | None = None
    error: str = ""


class _Process:
    """One process that does tasks, one after the other."""

    def __init__(self, config: Config) -> None:
        self.config = config
        command = [sys.executable, "-m", MODULE, str(os.getpid())]
        # a session of its own: see child_process.run_background
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=-1
        )
        self._why = ""
        self._send(msgspec.json.encode(config))

    def do(self, request: TaskRequest, limit_s: float, heard: Callable[[TaskProgress], None]) -> bytes | None:
        """The answer as JSON; None: the process had ended because it had nothing to do. Raises JetstreamError."""
        if not self._send(msgspec.json.encode(request)):
            return None
        watch = threading.Timer(limit_s, self.kill, (f"it took longer than {limit_s:.0f} s, so it was stopped",))
        watch.start()
        try:
            for line in self._lines():
                if isinstance(line, TaskProgress):
                    heard(line)
                elif isinstance(line, TaskAnswer):
                    return bytes(line.answer)
                else:
                    raise UserError(line.error)
        finally:
            watch.cancel()
        code = self._process.wait()
        if code == 0 and not self._why:
            return None
        raise JetstreamError(self._why or f"the process that does it ended (exit code {code}); see the log")

    def _send(self, line: bytes) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it had nothing to do for a while, and ended
            return False
        return True

    def _lines(self) -> Iterator[TaskLine]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield _decoder.decode(line)

    def kill(self, why: str) -> None:
        """End it while another thread waits for its answer, which gets `why`."""
        self._why = why
        self._process.kill()

    def end(self) -> None:
        """Of the thread that had it do something."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()


class TaskRunner:
    """For several threads."""

    def __init__(self, config: Callable[[], Config]) -> None:
        """config  gives the one in use now: a reload may change it"""
        self._config = config
        # a process dies with the thread that started it (PR_SET_PDEATHSIG), and those that answer come and go
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tasks")
        self._short: _Process | None = None
        self._turns = Turns(MOST_WAITING, "other changes are being made; try again in a while")
        self._long: OrderedDict[str, TaskStatus] = OrderedDict()
        self._running: dict[str, _Process] = {}
        self._lock = threading.Lock()

    def run(self, task: AnyTask, by: str, gives: type[A]) -> A:
        """Do a short task. Raises JetstreamError: why it can't be done; BusyError: others take too long."""
        with self._turns.one(SHORT_S):
            config = self._config()
            for _ in range(2):
                process = self._short or self._start(config)
                if process.config != config:
                    process.end()
                    process = self._start(config)
                self._short = None  # one that fails isn't used again
                answer = self._kept(process, TaskRequest(task, by))
                if answer is not None:
                    return msgspec.json.decode(answer, type=gives)
            raise JetstreamError("the process that does it can't be started; see the log")

    def _kept(self, process: _Process, request: TaskRequest) -> bytes | None:
        """The answer; the process stays for the next task, unless it ended or has to be ended."""
        try:
            answer = process.do(request, SHORT_S, lambda _: None)
        except UserError:
            self._short = process
            raise
        except BaseException:
            process.end()
            raise
        if answer is None:
            process.end()
        else:
            self._short = process
        return answer

    def start(self, task: AnyTask, by: str) -> TaskStatus:
        """Begin a long task, of which `status` tells. Raises BusyError: as many as there may be are running."""
        with self._lock:
            if len(self._running) >= MOST_LONG:
                raise BusyError("other work is being done; try again when it is finished")
            status = TaskStatus(secrets.token_hex(8), "running")
            process = self._running[status.id] = self._start(self._config())
            self._long[status.id] = status
            while len(self._long) > MOST_REMEMBERED:
                self._long.popitem(last=False)
        work = threading.Thread(target=self._work, args=(status.id, process, TaskRequest(task, by)), daemon=True)
        work.start()
        return status

    def status(self, id_: str) -> TaskStatus | None:
        """How far a long task is; None: there is none."""
        with self._lock:
            return self._long.get(id_)

    def stop(self, id_: str) -> bool:
        """End a long task now. What it did stays. False: it doesn't run."""
        with self._lock:
            process = self._running.get(id_)
        if process is not None:
            process.kill("it was stopped")
        return process is not None

    def _work(self, id_: str, process: _Process, request: TaskRequest) -> None:
        try:
            answer = process.do(request, LONG_S, lambda line: self._tell(id_, what=line.what, share=line.share))
            self._tell(id_, state="done", share=1.0, answer=msgspec.Raw(answer or b"null"))
        except JetstreamError as error:
            self._tell(id_, state="failed", error=str(error))
        finally:
            process.end()
            with self._lock:
                self._running.pop(id_, None)

    def _tell(self, id_: str, **changes: Any) -> None:
        with self._lock:
            if id_ in self._long:
                self._long[id_] = msgspec.structs.replace(self._long[id_], **changes)

    def _start(self, config: Config) -> _Process:
        return self._starter.submit(_Process, config).result()

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            running = [*self._running.values()]
        for process in (*running, *([self._short] if self._short else [])):
            process.kill("jetstream ends")
        self._starter.shutdown()
