"""Who may use the page: users with passwords, their sessions, and tokens for programs.

In SQLite, in a folder that only this user can read. Passwords are stored as argon2id hashes, sessions and tokens, which
are random, as SHA-256. Times are of the wall clock.
"""

import hashlib
import secrets
import time
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from jetstream.config.load import host_of_endpoint, is_loopback
from jetstream.config.schema import WebConfig
from jetstream.errors import UserError
from jetstream.web.access_file import AccessFile
from jetstream.web.tls import tls_context

Right = Literal["look", "sort", "rule"]
"""look: see; sort: also name, correct and enrol; rule: also forget people and manage users. Each has those before it"""
RIGHTS: Final[tuple[Right, ...]] = get_args(Right)
FILE: Final = "access.db"
IDLE_S: Final = 7 * 86400
"""a session ends when it isn't used for so long"""
LONGEST_S: Final = 30 * 86400
"""and after this time in any case"""
SEEN_EVERY_S: Final = 60
"""how often the time of a session's last use is written"""
SHORTEST_PASSWORD: Final = 8
LONGEST_PASSWORD: Final = 1024
LONGEST_NAME: Final = 100
TOKEN_PREFIX: Final = "jst_"
"""by which scanners of leaked secrets find a token"""


class Caller(msgspec.Struct, frozen=True):
    """Who asks."""

    name: str
    """of the user or token; empty: nobody in particular, on a machine without users"""
    may: Right | None
    """None: has to log in first"""
    session: str = ""
    """the first letters of the session's hash; empty: none"""
    address: str = ""
    """where the request comes from"""
    agent: str = ""
    """what the browser calls itself"""

    def has(self, right: Right) -> bool:
        """Whether the caller may do what needs `right`."""
        return self.may is not None and RIGHTS.index(self.may) >= RIGHTS.index(right)


class User(msgspec.Struct, frozen=True):
    """One who may log in."""

    name: str
    may: Right
    made_s: float


class Session(msgspec.Struct, frozen=True):
    """A browser that is logged in."""

    id: str
    """the first letters of its token's hash"""
    user: str
    made_s: float
    seen_s: float
    address: str
    agent: str
    """what the browser calls itself"""


class Token(msgspec.Struct, frozen=True):
    """A program that may ask."""

    name: str
    may: Right
    made_s: float
    seen_s: float | None


class AccessStore:
    """The users, sessions and tokens in a folder. For one thread at a time. All methods raise AccessFileError."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before it is needed."""
        self._file = AccessFile(folder / FILE)

    def close(self) -> None:
        self._file.close()

    @property
    def has_users(self) -> bool:
        """Whether anybody has to log in."""
        return bool(self._file.rows("SELECT 1 FROM users LIMIT 1"))

    def users(self) -> list[User]:
        return [User(*row) for row in self._file.rows("SELECT name, may, made_s FROM users ORDER BY name")]

    def check_new_user(self, name: str) -> None:
        """Raises UserError: the name is taken."""
        if self._file.rows("SELECT 1 FROM users WHERE name = ?", (name,)):
            raise UserError(f"{name}: there is such a user already; remove it first, or choose another name")

    def add_user(self, name: str, password: str, may: Right) -> None:
        """Raises UserError: the name is taken, or the password is too short."""
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise UserError(f"password: expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        _check_name(name)
        with self._file.changing() as connection:
            self.check_new_user(name)
            connection.execute("INSERT INTO users VALUES (?, ?, ?, ?)", (name, _hashed(password), may, time.time()))

    def remove_user(self, name: str) -> None:
        """With all their sessions. Raises UserError: there is none."""
        with self._file.changing() as connection:
            if not connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount:
                raise UserError(f"{name}: there is no such user; `jetstream users list` names them")

    def password_of(self, name: str) -> str | None:
        """The stored hash of a user's password, for `fits`; None: no such user."""
        found = self._file.rows("SELECT hash FROM users WHERE name = ?", (name,))
        return found[0][0] if found else None

    def log_in(self, name: str, stored: str, address: str, agent: str) -> str | None:
        """The token of a new session; None: the user has no longer that password."""
        token, now_s = secrets.token_urlsafe(32), time.time()
        with self._file.changing() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE seen_s < ? OR made_s < ?", (now_s - IDLE_S, now_s - LONGEST_S)
            )
            made = connection.execute(
                "INSERT INTO sessions SELECT ?, name, ?, ?, ?, ? FROM users WHERE name = ? AND hash = ?",
                (_digest(token), now_s, now_s, address[:64], agent[:200], name, stored),
            )
        return token if made.rowcount else None

    def log_out(self, user: str, session: str) -> None:
        """End a session of a user, by its id. Raises UserError: there is none."""
        with self._file.changing() as connection:
            ended = connection.execute(
                "DELETE FROM sessions WHERE user = ? AND substr(hex(hash), 1, 16) = ?", (user, session.upper())
            )
            if not ended.rowcount:
                raise UserError(f"{session}: there is no such session")

    def sessions(self, user: str | None = None) -> list[Session]:
        """Those of a user, or all; the one used last first."""
        found = self._file.rows(
            "SELECT lower(substr(hex(hash), 1, 16)), user, made_s, seen_s, address, agent FROM sessions "
            "WHERE user = coalesce(?, user) ORDER BY seen_s DESC",
            (user,),
        )
        return [Session(*row) for row in found]

    def of_session(self, token: str) -> Caller | None:
        """The caller whose browser has this token; None: none, or it has ended."""
        now_s, key = time.time(), _digest(token)
        found = self._file.rows(
            "SELECT user, may, seen_s FROM sessions JOIN users ON users.name = user WHERE sessions.hash = ? "
            "AND seen_s >= ? AND sessions.made_s >= ?",
            (key, now_s - IDLE_S, now_s - LONGEST_S),
        )
        if not found:
            return None
        user, may, seen_s = found[0]
        if now_s - seen_s > SEEN_EVERY_S:
            self._file.change_if_possible("UPDATE sessions SET seen_s = ? WHERE hash = ?", (now_s, key))
        return Caller(user, may, key.hex()[:16])

    def tokens(self) -> list[Token]:
        return [Token(*row) for row in self._file.rows("SELECT name, may, made_s, seen_s FROM tokens ORDER BY name")]

    def add_token(self, name: str, may: Right) -> str:
        """The new token, which is stored nowhere. Raises UserError: the name is taken."""
        _check_name(name)
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._file.changing() as connection:
            if connection.execute("SELECT 1 FROM tokens WHERE name = ?", (name,)).fetchone():
                raise UserError(f"{name}: there is such a token already; remove it first, or choose another name")
            connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, NULL)", (name, _digest(token), may, time.time()))
        return token

    def remove_token(self, name: str) -> None:
        """Raises UserError: there is none."""
        with self._file.changing() as connection:
            if not connection.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount:
                raise UserError(f"{name}: there is no such token; `jetstream tokens list` names them")

    def of_token(self, token: str) -> Caller | None:
        """The caller whose program has this token."""
        now_s, key = time.time(), _digest(token)
        found = self._file.rows("SELECT name, may, seen_s FROM tokens WHERE hash = ?", (key,))
        if not found:
            return None
        name, may, seen_s = found[0]
        if seen_s is None or now_s - seen_s > SEEN_EVERY_S:
            self._file.change_if_possible("UPDATE tokens SET seen_s = ? WHERE hash = ?", (now_s, key))
        return Caller(name, may)


def is_reachable(settings: WebConfig) -> bool:
    """Whether other machines can reach the page."""
    return settings.behind_proxy or not is_loopback(host_of_endpoint(settings.endpoint))


def check_page(settings: WebConfig) -> None:
    """Raise UserError where other machines could reach the page, and nobody would have to log in; or for a certificate
    that can't be used."""
    tls_context(settings)
    store = AccessStore(Path(settings.dir))
    try:
        if is_reachable(settings) and not store.has_users:
            raise UserError(
                f"web.endpoint: {settings.endpoint}: other machines could open the page without a password; add a user "
                "with `jetstream users add NAME`, or use http://127.0.0.1:PORT without web.behind_proxy"
            )
    finally:
        store.close()


def _check_name(name: str) -> None:
    """Raises UserError: it is no name."""
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UserError(f"{name!r}: no name; give up to {LONGEST_NAME} letters that can be printed")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _hashed(password: str) -> str:
    from argon2 import PasswordHasher  # a run without a new user starts without it

    return PasswordHasher().hash(password)


def fits(stored: str | None, password: str) -> bool:
    """Whether it is the password of the stored hash; takes as long where there is none."""
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(stored or _NOBODYS, password) and stored is not None
    except (Argon2Error, InvalidHashError):
        return False


# Of a random password that was thrown away: who names no user waits as long as one who does.
_NOBODYS: Final = "$argon2id$v=19$m=65536,t=3,p=4$Vo3PdvQ/toq3zy4iuuPiIw$e4OnIlSEAAs3mWTLe6ZNVMQ3sYOu/MawF/jFRRDmi1c"
