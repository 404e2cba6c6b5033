"""What may be shown of a source and of a log line: whatever may be a secret becomes `***`. No other place has a rule.

An address is shown piece by piece, and only the pieces that are known to be harmless: host, port, usual words of camera
addresses. It doesn't have to be a valid one: a password with `@`, `/`, `?` or `#` in it makes it none. Opens
nothing and knows no config.
"""

import ipaddress
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from jetstream.known_secrets import KNOWN


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HIDDEN = "***"
PIPELINE = "gst:"
NETWORK = (
    *("rtsp", "rtsps", "rtspt", "rtspu", "http", "https", "rtmp", "rtmps", "rtp", "srt", "udp", "mms", "ws", "wss"),
    *("mqtt", "mqtts"),
)
PORTS = _words(
    "80 81 88 443 554 555 1883 1935 1984 5000 5554 7447 8000 8080 8081 8090 8443 8554 8555 8883 8889 9000 PORT"
)
"""Ports that are shown beside a name without a dot. There another number may be a password, as in `rtsp://admin:1234`."""
WORDS = _words(
    "action am api archive audio avc av axis bin cam camera cameras cams cfg cgi ch channel channels clip clips "
    "codec color d dash day decoder defaultprimary defaultsecondary demo door doc entrance feed file film flv "
    "fluent footage fps front full garage garden get h hall hd height hevc high hls home htm html image images "
    "img index input isapi jpeg jpg live livestream local low m main media mic mjpeg mjpg mkv mode monitor motion "
    "mov movie mp mpd mpeg mpegts multicast nphmpeg onvif opus party photo pic picture play playback port preview "
    "primary profile proxy ps pts realmonitor real record res resolution rtp rtpstream rtsp sample sd sdp "
    "secondary sensor server size snap snapshot snapshots sound start still stream streaming streams sub subtype "
    "swf tcp test track tracks ts tv type udp unicast v vga video videos view wcam web webcam webm width wmv yard "
    "yuv unsafe"
)
"""Words of camera addresses; single letters and numbers of up to three digits (and sizes) are shown as well."""
SIZES = _words("1024 1080 1280 1440 1520 1536 1600 1920 2048 2160 2304 2560 2592 2688 2880 3072 3840 4096")
TELLING_KEYS = _words("channel ch subtype stream streamtype profile camera cam resolution fps codec")
"""Query keys of camera addresses that distinguish cameras; the values of all others are masked."""
OTHER_KEYS = _words(
    "user usr username login loginuse loginpas account id pwd pw pass password passwd token access_token auth "
    "authbasic key apikey api_key secret pin sig signature session sid hash code credential rate duration"
)
"""Query keys whose name is shown; their values are masked."""
HARMLESS = _words(
    "bitrate buffer-mode camera-id capture-io-mode channels device do-timestamp drop drop-on-latency "
    "exposure-time-range format framerate height index interpolation io-mode is-live latency leaky location "
    "max-buffers max-size-buffers max-size-bytes max-size-time method name num-buffers pattern protocols sensor-id "
    "sensor-mode sync timeout width"
)
"""Properties of GStreamer elements whose values are shown, unless they look like an address."""
HIDDEN_KEY = (
    r"[\w-]*(?:pass|passwd|password|pwd|pw|pas|secret|token|credential|auth|authorization|apikey|api_key|pin)s?"
)
SECRET_PROPERTY = re.compile(
    r"([\w-]*(?:pass|pw|pwd|secret|token|credential|cookie|header|user|user-id|username)[\w-]*)=(.+)",
    re.IGNORECASE | re.DOTALL,
)
"""A property of a GStreamer element with a value to mask."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=://)")
_SCHEME_ALONE = re.compile(rf"(?:{'|'.join(NETWORK)})(?::/{{0,2}}|//)(?=[^/])", re.IGNORECASE)
_VARIABLE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
_HOST = re.compile(rf"(\[[\w:.%]*\]|\*\*\*|{_VARIABLE}|[\w.-]*)(:(?:[0-9]{{1,5}}|\*\*\*|PORT)?)?(?=[/?#]|\Z)")
_CAPS = re.compile(r"(?:video|image|audio)/[\w.+-]+(?:\(\w+:\w+\))?(?:,\s*[\w-]+=(?:\(\w+\))?[\w/.:-]{1,20})*")
_PAIR = re.compile(rf"(?<![\w-])({HIDDEN_KEY})=(?!\*\*\*)([^\s&'\"]+)", re.IGNORECASE)
_LINE = rf"(?:(?!\b(?:{'|'.join(NETWORK)})://)[^\n])*"
_LOGIN = re.compile(rf"(?<![^\s'\"(=])[^\s:/'\"@(]{{1,64}}:(?!\s|//|/?\*{{3}}@){_LINE}@", re.IGNORECASE)
_BLANK_LOGIN = re.compile(r"[^\s:/'\"@(]{1,64}:\s(?:(?!://|\*{3}@)[^\n])*@(?=(?:[0-9]{1,3}\.){3}[0-9]|\[|localhost)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:(?!\*\*\*@)(?:(?!://)[^\n])*@)?[^\s'\"<>|]*")


class _Place(NamedTuple):
    """Where an address leads: what precedes its host, the host with its port as it may be shown, and what follows."""

    login: str
    host: str
    rest: str


def masked(text: str) -> str:
    """Any text, such as a log line, without the secrets that are known, and with the addresses in it masked."""
    text = KNOWN.hidden(text, HIDDEN)
    if "@" in text:
        text = _BLANK_LOGIN.sub(f"{HIDDEN}@", _LOGIN.sub(f"{HIDDEN}@", text))
    if "://" in text:
        text = _ADDRESS.sub(_masked_match, text)
    return _PAIR.sub(rf"\1={HIDDEN}", text) if "=" in text else text


def masked_source(spec: str) -> str:
    """A whole text that is meant as a source, masked. A path is shown as it is unless it looks like a login."""
    if spec.startswith(PIPELINE):
        return masked_pipeline(spec)
    if scheme := _SCHEME.search(spec):
        before = spec[: scheme.start()]
        is_plain = before.strip().casefold() in ("", "ffmpeg:", "file:")
        shown = f"{before}{_scheme(scheme[0])}" if is_plain else HIDDEN
        return f"{shown}://{masked_rest(spec[scheme.end() + 3 :])}"
    bare = spec.strip()
    start = len("ffmpeg:") if bare.casefold().startswith("ffmpeg:") else 0
    if found := _SCHEME_ALONE.match(bare, start):
        return f"{bare[:start]}{found[0]}{masked_rest(bare[found.end() :])}"
    if "@" in bare and ":" in bare[start : bare.rindex("@")]:
        return f"{bare[:start]}{masked_rest(bare[start:])}"
    if pair := _PAIR.search(bare):
        return f"{bare[: pair.start()] if ':' not in bare[: pair.start()] else HIDDEN}{pair[1]}={HIDDEN}"
    name, colon, after = spec.partition(":")
    is_path = "/" in name or re.search(r"\.[A-Za-z0-9]{2,4}\Z", after)
    return spec if not colon or not after or is_path else f"{name}:{HIDDEN}"


def masked_rest(rest: str) -> str:
    """What follows the `://` of an address: host and port, and of path and query what is known to be harmless."""
    place = _place(rest)
    if place is None:
        return f"{HIDDEN}@{HIDDEN}" if "@" in rest else HIDDEN
    login = "user" if place.login == "user" else HIDDEN  # as jetstream's own examples have it
    shown = f"{login}@{place.host}" if place.login else place.host
    path, mark, query = place.rest.partition("#")[0].partition("?")
    shown += _masked_path(path) + mark + "&".join(_masked_pair(pair) for pair in re.split("[&;]", query) if query)
    return shown + (f"#{HIDDEN}" if "#" in place.rest else "")


def masked_pipeline(spec: str) -> str:
    """A GStreamer pipeline: names of elements and harmless properties are shown."""
    try:
        words = shlex.split(spec.removeprefix(PIPELINE))
    except ValueError:
        return f"{PIPELINE} (a pipeline)"
    shown, element, hiding = [PIPELINE], "", False
    for word in words:
        if word == "!":
            element, hiding = "", False
            shown.append(word)
        elif not hiding:
            part = masked_word(word) if "=" in word or not element or word.endswith(".") else HIDDEN
            # A space in an address breaks it into words, and the next ones are the rest of it.
            hiding, element = part == HIDDEN, element or word
            shown.append(part)
    return " ".join(shown)


def masked_word(word: str) -> str:
    """A word of a GStreamer pipeline, with `***` for what may be secret."""
    if _CAPS.fullmatch(word) or re.fullmatch(r"[A-Za-z][\w-]{0,40}\.?\w*|\w+\.|[().,]", word):
        return word
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[\w:-]{1,60}", key):
        return HIDDEN
    if SECRET_PROPERTY.fullmatch(word):
        return f"{key}={HIDDEN}"
    if scheme := _SCHEME.match(value):
        return f"{key}={_scheme(scheme[0])}://{masked_rest(value[scheme.end() + 3 :])}"
    number = re.fullmatch(r"-?[0-9]{1,9}(?:[./][0-9]{1,4})?|true|false", value, re.IGNORECASE)
    harmless = key.casefold() in HARMLESS and not re.search("[@?&=:]", value) and len(value) < 100
    return word if number or harmless else f"{key}={HIDDEN}"


def host_of(spec: str) -> str:
    """The host of an address, with or without its scheme, as far as it may be shown; else empty."""
    scheme = _SCHEME.search(spec)
    place = _place(spec[scheme.end() + 3 :] if scheme else spec)
    host = place.host if place else ""
    return "" if HIDDEN in host.partition(":")[0] else re.sub(r":[^:\]]*\Z", "", host)


def holds_password(spec: str) -> bool:
    """Whether a source contains a password in plain text. A token in a path isn't told from a word."""
    if spec.startswith(PIPELINE):
        return any(True for _ in _pipeline_secrets(spec))
    plain = re.sub(_VARIABLE, "", spec)
    scheme = _SCHEME.search(plain)
    place = _place(plain[scheme.end() + 3 :]) if scheme else _place(plain)
    has_login = place is not None and bool(place.login.partition(":")[2])
    return (bool(scheme) and (place is None or has_login)) or (has_login and bool(place)) or bool(_PAIR.search(plain))


def secrets_in(spec: str) -> Iterator[str]:
    """The values in a source that are secret, or may be parts of one."""
    if spec.startswith(PIPELINE):
        yield from _pipeline_secrets(spec)
        return
    rest = spec[scheme.end() + 3 :] if (scheme := _SCHEME.search(spec)) else spec
    place = _place(rest)
    login, colon, password = (place.login if place else rest.rpartition("@")[0]).partition(":")
    yield password if colon else login if _looks_random(login) else ""
    yield from (part for part in re.split("[/?#@]", password) if len(part) > 3)
    for pair in _PAIR.finditer(rest):
        yield from (pair[2], pair[2].partition("_")[0], pair[2].partition("/")[0])
    if place is not None and (scheme or place.login):
        yield from (part for part in re.split("[/?&=#]", place.rest) if _looks_random(part))


def learn(spec: str) -> None:
    """Hide the secrets of this source from now on in every text that `masked` gets."""
    user = ""
    if scheme := _SCHEME.search(spec):
        user = spec[scheme.end() + 3 :].partition("@")[0].partition(":")[0]
    for secret in secrets_in(spec):
        if not re.fullmatch(_VARIABLE, secret):  # the name of a variable may be shown
            KNOWN.add(secret, user)


def _pipeline_secrets(spec: str) -> Iterator[str]:
    try:
        words = shlex.split(spec.removeprefix(PIPELINE))
    except ValueError:
        words = spec.split()
    for word in words:
        if found := SECRET_PROPERTY.fullmatch(word):
            yield found[2]
        elif "://" in word:
            yield from (secret for secret in secrets_in(word.partition("=")[2] or word) if secret)
    for login in re.findall(r"://([^!]*)@", spec):  # with a space in it, it is no word
        yield from (login, login.partition(":")[2])


def _place(rest: str) -> _Place | None:
    """What follows `://`, taken apart; None where it can't be told what the host is.

    The last `@` ends the login, wherever it is: the password may hold any character. Where it is outside of what the
    grammar calls the authority, what follows may be a part of the password, so only a sure host is shown.
    """
    head = re.split("[/?#]", rest, maxsplit=1)[0]
    at = rest.rfind("@")
    if at >= 0 and at > len(head) and ":" not in rest[:at] and "=" not in rest[:at] and "@" not in head:
        at = -1  # a path with an `@`, without anything like a login before it
    found = _HOST.match(rest, at + 1)
    if found is None:
        return None
    host, port = found[1], found[2] or ""
    is_sure, is_known = at < len(head), _is_address(host) or _is_plain(host)
    if not is_sure and not is_known:
        host, port = HIDDEN, ""
    elif port and at < 0 and not _is_address(host) and "." not in host and port[1:] not in PORTS:
        port = f":{HIDDEN}"
    return _Place(rest[:at] if at >= 0 else "", host + port, rest[found.end() :] if host != HIDDEN else "")


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return bool(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        return False


def _masked_path(path: str) -> str:
    """The path up to its first piece that may be a secret."""
    shown: list[str] = []
    for piece in path.split("/"):
        if not _is_plain(piece):
            return "/".join([*shown, HIDDEN])
        shown.append(piece)
    return "/".join(shown)


def _masked_pair(pair: str) -> str:
    key, equals, value = pair.partition("=")
    if key.casefold() in TELLING_KEYS and _is_plain(value):
        return pair
    known = key.casefold() in TELLING_KEYS | OTHER_KEYS
    return f"{key if known else HIDDEN}={HIDDEN}" if equals else HIDDEN


def _is_plain(piece: str) -> bool:
    """Whether every word of it is usual in addresses of cameras, or it is masked or the name of a variable."""
    piece = re.sub(_VARIABLE, "", piece).replace(HIDDEN, "")
    if not re.fullmatch(r"[A-Za-z0-9._,+@-]{0,60}", piece):
        return False
    return all(_is_usual(chunk) for chunk in re.split("[._,+@-]", piece))


def _is_usual(chunk: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+", chunk)
    usual = (word.casefold() in WORDS or word in SIZES or len(word) < (4 if word.isdigit() else 2) for word in words)
    return chunk.casefold() in WORDS or (len(words) < 5 and all(usual))


def _looks_random(text: str) -> bool:
    return (
        len(text) > 7 and not _is_plain(text) and bool(re.search("[0-9]", text)) and bool(re.search("[A-Za-z]", text))
    )


def _scheme(scheme: str) -> str:
    return scheme if re.fullmatch("[A-Za-z]{2,8}", scheme) else HIDDEN


def _masked_match(found: re.Match[str]) -> str:
    scheme, _, rest = found[0].partition("://")
    if scheme.casefold() not in NETWORK and "@" not in rest:  # an endpoint of jetstream's own, such as ipc://
        return found[0]
    end = len(rest.rstrip(":;,.)]}!`"))
    return f"{scheme}://{masked_rest(rest[:end])}{rest[end:]}"
