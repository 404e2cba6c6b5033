"""What the page's answers are made of: the config, the newest frames and status, and who may ask."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from jetstream.config.schema import Config, run_dir
from jetstream.errors import GARBLED, BusyError, PipelineError
from jetstream.messages import Status
from jetstream.runtime.run_dir import RunDir
from jetstream.sightings import database
from jetstream.sightings.database import DamageError
from jetstream.web import guard
from jetstream.web.access import LONGEST_S, AccessStore, Caller, is_reachable
from jetstream.web.frames import NewestFrames
from jetstream.web.limits import FailedLogins, Turns
from jetstream.web.machine import MachineReader
from jetstream.web.news import NewsFinder
from jetstream.web.people_reader import PeopleReader
from jetstream.web.rates import FrameRates
from jetstream.web.seen_faces import SeenFaces
from jetstream.web.task_runner import TaskRunner

BEARER: Final = "bearer "
MOST_UPLOADS: Final = 4
"""pictures that are held in memory at once; others wait"""
MOST_UPLOADING: Final = 20
"""with those that wait"""
MOST_LOGINS: Final = 8
"""that are being looked at or wait for that; each takes 64 MB for a moment, so one at a time"""
STRANGE_ROWS: Final = (TypeError, ValueError, OverflowError, LookupError)
"""what reading raises where a row holds another type, or isn't where an index has it"""
READ_WAIT_S: Final = 1.0
"""how long an answer waits for a database that is locked"""


class Site:
    """Shared by all threads that answer. What changes is replaced in one step, or guarded by a lock."""

    def __init__(self, config: Config, frames: NewestFrames) -> None:
        self.config, self.frames = config, frames
        self.status: Status | None = None
        """of the supervisor, a second old at most"""
        self.news = NewsFinder(self.sightings)
        self.run_dir = RunDir(run_dir(config))
        self.faces = SeenFaces(frames.rings)
        self.rates = FrameRates()
        self.machine = MachineReader(config)
        self.people = PeopleReader(self.effective_config)
        self.failed_logins = FailedLogins()
        self.logins = Turns(MOST_LOGINS, "many others are logging in; try again in a moment")
        self.tasks = TaskRunner(self.effective_config)
        self._uploads, self._uploading = asyncio.Semaphore(MOST_UPLOADS), 0
        self._access = AccessStore(Path(config.web.dir))
        self._access_lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._viewers: set[asyncio.Event] = set()
        self._is_reachable = is_reachable(config.web)
        self._is_secure = config.web.endpoint.startswith("https") or config.web.behind_proxy
        frames.changed = self._tell_viewers

    def hear(self, status: Status) -> None:
        """Take what the supervisor says."""
        self.status = status
        self.rates.hear(status)

    def effective_config(self) -> Config:
        """The config in use now, which start-up completed and a reload may have changed since this process began."""
        try:
            return self.run_dir.read_config()
        except (OSError, PipelineError):  # no run, or it is ending
            return self.config

    @contextlib.contextmanager
    def access(self) -> Iterator[AccessStore]:
        """Users, sessions and tokens, for one thread at a time."""
        with self._access_lock:
            yield self._access

    @contextlib.contextmanager
    def sightings(self) -> Iterator[sqlite3.Connection | None]:
        """The database of sightings, to read, as it is at this moment; None: there is none yet.

        Opened for each answer, which takes less than a millisecond: so it is always the file that has the name now.
        Raises DatabaseError, BusyError, UserError, also for what goes wrong in the block.
        """
        folder = Path(self.config.sightings.dir)
        if not database.is_there(folder):
            yield None
            return
        with database.opened(folder, wait_s=READ_WAIT_S) as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            except (*GARBLED, *STRANGE_ROWS) as error:  # what SQLite can't see: a row that nothing of ours wrote
                raise DamageError(database.damage(database.path_in(folder), error)) from error

    @contextlib.asynccontextmanager
    async def upload(self) -> AsyncIterator[None]:
        """Room for a picture. Raises BusyError: many wait for it. In the loop's thread."""
        if self._uploading >= MOST_UPLOADING:
            raise BusyError("many others are sending pictures; try again in a moment")
        self._uploading += 1
        try:
            async with self._uploads:
                yield
        finally:
            self._uploading -= 1

    def caller(self, request: HTTPConnection) -> Caller | None:
        """Who asks; None: somebody who has to log in first."""
        headers = request.headers
        with self.access() as access:
            if not access.has_users:
                # a header can be forged from another machine, which may reach the page after its last user was removed
                is_here = not self._is_reachable and guard.is_for_this_machine(headers)
                found = Caller("", "rule") if is_here else None
            elif (given := headers.get("authorization", "")).lower().startswith(BEARER):
                found = access.of_token(given[len(BEARER) :].strip())
            else:
                token = request.cookies.get(self.cookie)
                found = access.of_session(token) if token else None
        return found and self._from(request, found)

    def stranger(self, request: HTTPConnection) -> Caller:
        """Somebody who isn't logged in, for routes that anybody may ask."""
        return self._from(request, Caller("", None))

    def _from(self, request: HTTPConnection, caller: Caller) -> Caller:
        """The caller, with where the request comes from."""
        address, passed_on = request.client.host if request.client else "", request.headers.get("x-forwarded-for", "")
        if address in self.config.web.proxies and passed_on:
            address = passed_on.rpartition(",")[2].strip()
        return msgspec.structs.replace(caller, address=address, agent=request.headers.get("user-agent", ""))

    @property
    def cookie(self) -> str:
        """The name of the cookie with the session."""
        return "__Host-jetstream" if self._is_secure else "jetstream"

    def set_cookie(self, response: Response, token: str | None) -> None:
        """Give a session's token to the browser; None: take it back."""
        response.set_cookie(
            self.cookie,
            token or "",
            max_age=LONGEST_S if token else 0,
            httponly=True,
            samesite="strict",
            secure=self._is_secure,
        )

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    @contextlib.contextmanager
    def viewing(self) -> Iterator[asyncio.Event]:
        """An event that is set with each new frame. In the loop's thread."""
        event = asyncio.Event()
        self._viewers.add(event)
        try:
            yield event
        finally:
            self._viewers.discard(event)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop in which viewers are served."""
        self._loop = loop

    def _tell_viewers(self) -> None:
        if self._viewers and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._viewers:
            event.set()

    def close(self) -> None:
        self.tasks.close()
        with self._access_lock:
            self._access.close()
