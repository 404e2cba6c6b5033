"""Log in and out, who is asking, and the lists of users, sessions and tokens."""

import logging
import time
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from jetstream.errors import UserError
from jetstream.gallery import audit
from jetstream.web.access import Caller, Right, Session, Token, User, fits
from jetstream.web.routes import Nothing, Route
from jetstream.web.site import Site

LOGIN_WAIT_S: Final = 5.0
Name = Annotated[str, Meta(min_length=1, max_length=100)]

log = logging.getLogger("jetstream")


class Who(msgspec.Struct, frozen=True):
    """The caller, as the page needs to know."""

    name: str
    may: Right | None
    """null: has to log in first"""
    has_users: bool
    """whether anybody has to log in; else whoever uses this machine may do everything"""
    session: str = ""
    """id of the caller's own session, as the list of sessions has it; empty: none"""


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name and its password."""

    name: Name
    password: Annotated[str, Meta(max_length=1024)]


class NewSession(NamedTuple):
    """A session that began; the server puts its token into a cookie."""

    who: Who
    token: str


class EndedSession(NamedTuple):
    """The server deletes the cookie."""

    who: Who


class TooManyError(UserError):
    """Too many failures; the message says when to try again."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failed logins; try again in {wait_s:.0f} s")
        self.wait_s = wait_s


class LoginError(UserError):
    """The name or the password is wrong."""


class OneSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A session to end."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    user: Name


class OneName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user or a token."""

    name: Name


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One who may log in from now on."""

    name: Name
    password: Annotated[str, Meta(max_length=1024)]
    may: Right = "look"


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program that may ask from now on."""

    name: Name
    may: Right = "look"


class TokenAnswer(msgspec.Struct, frozen=True):
    """A new token."""

    token: str
    """shown this once; only its hash is stored"""


def who(site: Site, _: Nothing, caller: Caller) -> Who:
    """Who is asking."""
    with site.access() as access:
        has_users = access.has_users
    return Who(caller.name, caller.may, has_users, caller.session)


def log_in(site: Site, login: LoginRequest, caller: Caller) -> NewSession:
    """Begin a session."""
    _check_wait(site, login, caller)
    with site.logins.one(LOGIN_WAIT_S):  # one at a time: guesses that are sent at once are counted, too
        _check_wait(site, login, caller)
        with site.access() as access:
            stored = access.password_of(login.name)
        is_right = fits(stored, login.password)  # takes 0.1 s, in which others are answered
        with site.access() as access:
            token = access.log_in(login.name, stored, caller.address, caller.agent) if stored and is_right else None
            found = access.of_session(token) if token else None
        if token is None or found is None:
            site.failed_logins.failed(login.name, caller.address, time.monotonic())
            log.warning("page: failed login from %s", caller.address)
            raise LoginError("wrong name or password")
    site.failed_logins.succeeded(login.name, caller.address)
    audit.add(Path(site.config.models.dir), "login", by=login.name)
    return NewSession(Who(found.name, found.may, True, found.session), token)


def _check_wait(site: Site, login: LoginRequest, caller: Caller) -> None:
    """Raises TooManyError."""
    if (wait_s := site.failed_logins.wait_s(login.name, caller.address, time.monotonic())) > 0:
        raise TooManyError(max(1.0, wait_s))


def log_out(site: Site, _: Nothing, caller: Caller) -> EndedSession:
    """End this session."""
    if caller.session:
        with site.access() as access:
            access.log_out(caller.name, caller.session)
    return EndedSession(Who("", None, has_users=True))


def sessions(site: Site, _: Nothing, caller: Caller) -> list[Session]:
    """The caller's own sessions; of who may rule, everybody's."""
    with site.access() as access:
        return access.sessions(None if caller.has("rule") else caller.name)


def end_session(site: Site, one: OneSession, caller: Caller) -> Nothing:
    """End a session of the caller's own or, for who may rule, anybody's."""
    if one.user != caller.name and not caller.has("rule"):
        raise UserError("sessions of others can be ended by who may rule alone")
    with site.access() as access:
        access.log_out(one.user, one.id)
    return Nothing()


def users(site: Site, _: Nothing, __: Caller) -> list[User]:
    """Who may log in."""
    with site.access() as access:
        return access.users()


def add_user(site: Site, new: NewUser, caller: Caller) -> Nothing:
    """Add a user."""
    with site.access() as access:
        access.add_user(new.name, new.password, new.may)
    return _changed(site, caller, "user")


def remove_user(site: Site, one: OneName, caller: Caller) -> Nothing:
    """Remove a user, with all sessions."""
    with site.access() as access:
        access.remove_user(one.name)
    return _changed(site, caller, "user")


def tokens(site: Site, _: Nothing, __: Caller) -> list[Token]:
    """The tokens, without what they are."""
    with site.access() as access:
        return access.tokens()


def add_token(site: Site, new: NewToken, caller: Caller) -> TokenAnswer:
    """Make a token."""
    with site.access() as access:
        token = access.add_token(new.name, new.may)
    _changed(site, caller, "token")
    return TokenAnswer(token)


def remove_token(site: Site, one: OneName, caller: Caller) -> Nothing:
    """Remove a token."""
    with site.access() as access:
        access.remove_token(one.name)
    return _changed(site, caller, "token")


def _changed(site: Site, caller: Caller, what: audit.What) -> Nothing:
    audit.add(Path(site.config.models.dir), what, by=caller.name)
    return Nothing()


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/who", None, who, gives=Who),
    Route("POST", "/api/login", None, log_in, LoginRequest, Who),
    Route("POST", "/api/logout", "look", log_out, gives=Who),
    Route("GET", "/api/sessions", "look", sessions, gives=list[Session]),
    Route("POST", "/api/sessions/end", "look", end_session, OneSession),
    Route("GET", "/api/users", "rule", users, gives=list[User]),
    Route("POST", "/api/users/add", "rule", add_user, NewUser),
    Route("POST", "/api/users/remove", "rule", remove_user, OneName),
    Route("GET", "/api/tokens", "rule", tokens, gives=list[Token]),
    Route("POST", "/api/tokens/add", "rule", add_token, NewToken, TokenAnswer),
    Route("POST", "/api/tokens/remove", "rule", remove_token, OneName),
)
