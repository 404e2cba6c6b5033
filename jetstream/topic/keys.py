"""Key files of the detections topic (CURVE): the publisher's pair, a subscriber's pair, and who may listen.

Knows no socket. A secret lies in a file of mode 0600, and one that others can read is refused. Keys are 32 bytes, in
files and on screen as 64 hexadecimal digits: ZeroMQ's own Z85 has letters that a shell takes for its own.

    keys/publisher.key     this machine's pair
    keys/allowed/NAME.pub  the public key of a subscriber who may listen; without the file, it may not
"""

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any

import msgspec
import zmq
import zmq.utils.z85
from msgspec import Meta

from jetstream import files
from jetstream.errors import GARBLED, UserError
from jetstream.files import check_private

PUBLISHER = "publisher.key"
ALLOWED = "allowed"
LARGEST_BYTES = 4096
"""of a key file; what is longer is none"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")

Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pair, as its file holds it. `server`: the public key of the publisher that a subscriber listens to."""

    name: str
    public: Hex
    secret: Hex
    server: Hex | None = None

    def __repr__(self) -> str:  # whatever prints it must not print the secret
        return f"KeyFile(name={self.name!r}, public={self.public!r})"

    def authenticate(self, socket: "zmq.Socket[Any]", server: str | None) -> None:
        """Make `socket` a CURVE client of the publisher with the public key `server`, or the server itself (None)."""
        socket.curve_publickey, socket.curve_secretkey = bytes.fromhex(self.public), bytes.fromhex(self.secret)
        if server is None:
            socket.curve_server = True
        else:
            socket.curve_serverkey = bytes.fromhex(server)


def new(path: Path, name: str, server: str | None = None) -> KeyFile:
    """A new pair in a new file of mode 0600. Raises UserError: there is one already, or it can't be written."""
    if not zmq.has("curve"):
        raise UserError("this ZeroMQ has no CURVE, so no keys; install `pyzmq` as a wheel from PyPI")
    public, secret = (zmq.utils.z85.decode(key).hex() for key in zmq.curve_keypair())
    pair = KeyFile(check_name(name), public, secret, None if server is None else check_public(server))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(pair), indent=1) + b"\n")
    except FileExistsError:
        raise UserError(f"{path}: there is a key already; remove it first if nobody needs it any more") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written") from None
    return pair


def read(path: Path) -> KeyFile:
    """Raises UserError: it can't be read, is no key file, or others can read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            check_private(path, os.fstat(descriptor))
            content = file.read(LARGEST_BYTES)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; `jetstream keys new` makes keys") from None
    return parse(content, str(path))


def parse(content: bytes, where: str) -> KeyFile:
    """A key file's content. Raises UserError, which never quotes what was in it."""
    try:
        return msgspec.json.decode(content, type=KeyFile)
    except GARBLED:
        raise UserError(f"{where}: not a key file; `jetstream keys new` makes one") from None


def publisher(folder: Path) -> KeyFile:
    """This machine's pair. Raises UserError."""
    return read(folder / PUBLISHER)


def allow(folder: Path, name: str, public: str) -> None:
    """Let a subscriber listen, from now on; its earlier key counts no more. Raises UserError."""
    path = folder / ALLOWED / f"{check_name(name)}.pub"
    public = check_public(public)
    if taken := [other for other, key in allowed(folder).items() if key.hex() == public and other != path.stem]:
        raise UserError(f"{name}: {taken[0]} has that key; revoke {taken[0]} first, or make {name} a key of its own")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(path, f"{public}\n".encode(), mode=0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written with --dir") from None
    if name not in allowed(folder):
        raise UserError(
            f"{path}: counts for nobody: others can write to its folder, or own it; run `chmod 700 {path.parent}`, and "
            "make it this user's with chown"
        )


def revoke(folder: Path, name: str) -> None:
    """Let a subscriber listen no more, one that is connected too. Raises UserError."""
    path = folder / ALLOWED / f"{check_name(name)}.pub"
    try:
        path.unlink()
    except FileNotFoundError:
        there = ", ".join(allowed(folder)) or "nobody"
        raise UserError(f"{name}: not on the list of {folder}; there are: {there}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; make its folder writable") from None


def allowed(folder: Path) -> dict[str, bytes]:
    """Who may listen, with each one's public key. What is damaged, a link or another's to write allows nobody, nor does
    what can't be read now."""
    found = {}
    with contextlib.suppress(OSError):
        paths = sorted((folder / ALLOWED).glob("*.pub")) if _is_ours(os.stat(folder / ALLOWED)) else []
        for path in paths:
            if _NAME.fullmatch(path.stem) and (public := _listed(path)):
                found[path.stem] = public
    return found


def _listed(path: Path) -> bytes | None:
    """The public key in a file of the list."""
    try:
        # a link is none of our files, and a pipe must not hold up who asks
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not _is_ours(status) or status.st_size > LARGEST_BYTES:
                return None
            text = file.read(LARGEST_BYTES).decode("ascii")
    except (OSError, ValueError):
        return None
    return bytes.fromhex(text[:64]) if re.fullmatch(r"[0-9a-f]{64}\s*", text) else None


def _is_ours(status: os.stat_result) -> bool:
    """Nobody but this user and root can have written it."""
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o022


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UserError(f"{name}: not a name for a key; use up to 40 letters, digits, _ and -")
    return name


def check_public(text: str) -> str:
    """A public key, or a key file's, as text. Raises UserError."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return text.lower()
    if os.path.isfile(text):  # false, where Path raises, for what is too long or may not be looked at
        return read(Path(text)).public
    raise UserError(
        f"{text}: neither a public key (64 hexadecimal digits) nor a key file; `jetstream keys new` makes both"
    )
