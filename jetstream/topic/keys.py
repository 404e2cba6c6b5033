"""Key files of the detections topic (CURVE): the publisher's pair, subscribers' pairs, and the list of allowed keys.

Opens no socket. A secret key is in a file of mode 0600; a file that others can read is refused. Keys are 32 bytes, in
files and on screen as 64 hexadecimal digits: ZeroMQ's own Z85 has characters that are special in a shell.

    keys/publisher.key     this machine's pair
    keys/allowed/NAME.pub  the public key of a subscriber that may listen; without this file it may not
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
"""Largest key file, in bytes; a longer one is refused."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")

Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key pair, as in its file. `server` is the public key of the publisher that a subscriber listens to."""

    name: str
    public: Hex
    secret: Hex
    server: Hex | None = None

    def __repr__(self) -> str:  # leaves out the secret, so that no log shows it
        return f"KeyFile(name={self.name!r}, public={self.public!r})"

    def authenticate(self, socket: "zmq.Socket[Any]", server: str | None) -> None:
        """Make `socket` a CURVE client of the publisher with the public key `server`, or the server itself (None)."""
        socket.curve_publickey, socket.curve_secretkey = bytes.fromhex(self.public), bytes.fromhex(self.secret)
        if server is None:
            socket.curve_server = True
        else:
            socket.curve_serverkey = bytes.fromhex(server)


def new(path: Path, name: str, server: str | None = None) -> KeyFile:
    """Make a key pair and write it to the new file `path`, mode 0600.

    Raises UserError when the file exists already, it can't be written, the name or `server` is not valid, or this
    ZeroMQ has no CURVE.
    """
    if not zmq.has("curve"):
        raise UserError("this ZeroMQ has no CURVE, so no keys; install `pyzmq` as a wheel from PyPI")
    public, secret = (zmq.utils.z85.decode(key).hex() for key in zmq.curve_keypair())
    pair = KeyFile(check_name(name), public, secret, None if server is None else check_public(server))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            _check_modes(path, os.fstat(file.fileno()))
            file.write(msgspec.json.format(msgspec.json.encode(pair), indent=1) + b"\n")
    except FileExistsError:
        raise UserError(f"{path}: there is a key already; remove it first if it is no longer needed") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written") from None
    return pair


def _check_modes(path: Path, status: os.stat_result) -> None:
    """Raises UserError on a disk without file modes: whoever reads a secret key can listen for ever, unlike to photos
    and recordings, for which a warning is enough. The empty file is removed."""
    if status.st_mode & 0o077:
        path.unlink()
        raise UserError(
            f"{path}: this disk takes no file modes (FAT, NTFS, CIFS), so others could read the key; name a folder on "
            "another disk"
        )


def read(path: Path) -> KeyFile:
    """The pair in a key file. Raises UserError when it can't be read, is no key file, or others can read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            check_private(path, os.fstat(descriptor))
            content = file.read(LARGEST_BYTES)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; `jetstream keys new` makes keys") from None
    return parse(content, str(path))


def parse(content: bytes, where: str) -> KeyFile:
    """The pair in a key file's content; `where` begins the error. Raises UserError, which never quotes the content."""
    try:
        return msgspec.json.decode(content, type=KeyFile)
    except GARBLED:
        raise UserError(f"{where}: not a key file; `jetstream keys new` makes one") from None


def publisher(folder: Path) -> KeyFile:
    """This machine's pair, in `folder`. Raises what `read` raises."""
    return read(folder / PUBLISHER)


def allow(folder: Path, name: str, public: str) -> None:
    """Add a subscriber's public key to the list, in place of its earlier key.

    Raises UserError when the name or the key is not valid, another subscriber has the key, or the list can't be written
    or is not protected.
    """
    path = folder / ALLOWED / f"{check_name(name)}.pub"
    public = check_public(public)
    if taken := [other for other, key in allowed(folder).items() if key.hex() == public and other != path.stem]:
        raise UserError(f"{name}: {taken[0]} has that key; revoke {taken[0]} first, or make a new key for {name}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(path, f"{public}\n".encode(), mode=0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written with --dir") from None
    if name not in allowed(folder):
        raise UserError(
            f"{path}: has no effect, because other users can write to its folder or own it; run "
            f"`chmod 700 {path.parent}`, and make it this user's with chown"
        )


def revoke(folder: Path, name: str) -> None:
    """Remove a subscriber from the list; a running pipeline disconnects it. Raises UserError when it is not there."""
    path = folder / ALLOWED / f"{check_name(name)}.pub"
    try:
        path.unlink()
    except FileNotFoundError:
        names = ", ".join(allowed(folder)) or "nobody"
        raise UserError(f"{name}: not on the list of {folder}; there are: {names}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; make its folder writable") from None


def allowed(folder: Path) -> dict[str, bytes]:
    """The subscribers on the list, by name, with their public keys (32 bytes).

    Leaves out a file that is damaged, a link, unreadable, or writable by other users; all, if the folder is.
    """
    found = {}
    with contextlib.suppress(OSError):
        paths = sorted((folder / ALLOWED).glob("*.pub")) if _is_ours(os.stat(folder / ALLOWED)) else []
        for path in paths:
            if _NAME.fullmatch(path.stem) and (public := _listed(path)):
                found[path.stem] = public
    return found


def _listed(path: Path) -> bytes | None:
    """The public key in a file of the list; None where the file doesn't count."""
    try:
        # a link could lead to another user's file, and opening a pipe must not block
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not _is_ours(status) or status.st_size > LARGEST_BYTES:
                return None
            text = file.read(LARGEST_BYTES).decode("ascii")
    except (OSError, ValueError):
        return None
    return bytes.fromhex(text[:64]) if re.fullmatch(r"[0-9a-f]{64}\s*", text) else None


def _is_ours(status: os.stat_result) -> bool:
    """Whether only this user and root can have written it."""
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o022


def check_name(name: str) -> str:
    """`name`, if it may name a key. Raises UserError."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name}: not a name for a key; use up to 40 letters, digits, _ and -")
    return name


def check_public(text: str) -> str:
    """The public key that `text` is, or that is in the key file `text`, in lower case. Raises UserError for neither."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return text.lower()
    if os.path.isfile(text):  # unlike Path's, false for a name too long or in a folder that can't be entered
        return read(Path(text)).public
    raise UserError(
        f"{text}: neither a public key (64 hexadecimal digits) nor a key file; `jetstream keys new` makes both"
    )
