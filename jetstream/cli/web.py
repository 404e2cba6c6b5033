"""Commands about who may use the page: users and tokens."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from jetstream.cli.shared import CommandLine, ConfigOption, Json, Sets, app, say, settings_of
from jetstream.errors import UserError

if TYPE_CHECKING:
    from jetstream.config.schema import Config
    from jetstream.gallery import audit
    from jetstream.web.access import AccessStore, Right

users_app = CommandLine(no_args_is_help=True, help="Manage the page's users, who log in with a password.")
tokens_app = CommandLine(no_args_is_help=True, help="Manage tokens, with which programs ask the page.")
app.add_typer(users_app, name="users")
app.add_typer(tokens_app, name="tokens")
UserName = Annotated[str, typer.Argument(help="Name of the user.")]
TokenName = Annotated[str, typer.Argument(help="Name of the token, such as that of the program.")]
May = Annotated[
    str,
    typer.Option(
        "--may",
        help="look: see; sort: also name, correct and enroll people; rule: also forget people and manage users.",
    ),
]


@users_app.command("add")
def add_user(
    name: UserName,
    may: May = "rule",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    config: ConfigOption = None,
    sets: Sets = None,
) -> None:
    """Add a user. Once there is one, everybody has to log in."""
    settings = settings_of(config, sets=sets)
    checked, right = _name(name), _right(may)
    with _access(settings) as access:
        access.check_new_user(checked)  # before somebody types a password
        access.add_user(checked, _password(from_stdin=password_stdin), right)
    _audit(settings, "user")
    say(f"{checked}: added, may {right}; log in at {settings.web.endpoint}")


@users_app.command("list")
def list_users(as_json: Json = False, config: ConfigOption = None, sets: Sets = None) -> None:
    """List the users, and since when they are logged in where."""
    with _access(settings_of(config, sets=sets)) as access:
        users, sessions = access.users(), access.sessions()
    if as_json:
        print(msgspec.json.encode(users).decode())
        return
    for user in users:
        print(f"{user.name}  may {user.may}  since {_day(user.made_s)}")
        for one in sessions:
            if one.user == user.name:
                print(f"  logged in from {one.address}, last used {_day(one.seen_s)}")
    if not users:
        say("no user; the page is open for everybody on this machine, and for nobody else")


@users_app.command("remove")
def remove_user(name: UserName, config: ConfigOption = None, sets: Sets = None) -> None:
    """Remove a user, and end all their sessions."""
    settings = settings_of(config, sets=sets)
    with _access(settings) as access:
        access.remove_user(name)
        is_last = not access.has_users
    _audit(settings, "user")
    say(f"{name}: removed" + ("; the page is open for everybody on this machine again" if is_last else ""))


@tokens_app.command("new")
def new_token(name: TokenName, may: May = "look", config: ConfigOption = None, sets: Sets = None) -> None:
    """Make a token for a program, and print it. It is stored as a hash, so it can't be printed again."""
    settings = settings_of(config, sets=sets)
    with _access(settings) as access:
        token = access.add_token(_name(name), _right(may))
        has_users = access.has_users
    _audit(settings, "token")
    say(f"{name}: made; the program sends the header `Authorization: Bearer TOKEN`; TOKEN is")
    print(token)
    if not has_users:
        say("there is no user, so programs on this machine need no token yet")


@tokens_app.command("list")
def list_tokens(as_json: Json = False, config: ConfigOption = None, sets: Sets = None) -> None:
    """List the tokens by their names."""
    with _access(settings_of(config, sets=sets)) as access:
        tokens = access.tokens()
    if as_json:
        print(msgspec.json.encode(tokens).decode())
        return
    for token in tokens:
        used = "never used" if token.seen_s is None else f"last used {_day(token.seen_s)}"
        print(f"{token.name}  may {token.may}  since {_day(token.made_s)}  {used}")
    if not tokens:
        say("no token; `jetstream tokens new NAME` makes one")


@tokens_app.command("remove")
def remove_token(name: TokenName, config: ConfigOption = None, sets: Sets = None) -> None:
    """Remove a token; the program that has it may no longer ask."""
    settings = settings_of(config, sets=sets)
    with _access(settings) as access:
        access.remove_token(name)
    _audit(settings, "token")
    say(f"{name}: removed")


@contextlib.contextmanager
def _access(settings: "Config") -> "Iterator[AccessStore]":
    from jetstream.web.access import AccessStore

    store = AccessStore(Path(settings.web.dir))
    try:
        yield store
    finally:
        store.close()


def _audit(settings: "Config", what: "audit.What") -> None:
    from jetstream.gallery import audit

    audit.add(Path(settings.models.dir), what)


def _right(may: str) -> "Right":
    from jetstream.web.access import RIGHTS

    for right in RIGHTS:
        if may == right:
            return right
    raise UserError(f"--may {may}: expected one of {', '.join(RIGHTS)}")


def _name(name: str) -> str:
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise UserError(f"{name}: no name; give up to 100 letters that can be printed")
    return name.strip()


def _password(*, from_stdin: bool) -> str:
    """Raises UserError: there is no terminal, or the password was typed differently."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UserError("password: nobody can type it here; pass it on standard input, with --password-stdin")
    password = str(typer.prompt("Password", hide_input=True))
    if typer.prompt("The same again", hide_input=True) != password:
        raise UserError("password: the two differ; run the command again")
    return password


def _day(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_s))
