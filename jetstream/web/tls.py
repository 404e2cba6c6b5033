"""The page's certificate, as TLS needs it."""

import contextlib
import os
import ssl
from pathlib import Path
from typing import Final

from jetstream.config.schema import WebConfig
from jetstream.errors import UserError

_DATES: Final = {9: "is not valid yet", 10: "has expired"}
"""by OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED"""


def tls_context(settings: WebConfig) -> ssl.SSLContext | None:
    """Of web.cert and web.key; None: there is none. Raises UserError: it can't be used."""
    if not settings.cert:
        return None
    for key, path, mark in (("cert", settings.cert, "CERTIFICATE-----"), ("key", settings.key, "PRIVATE KEY-----")):
        if not os.access(path, os.R_OK) or not Path(path).is_file():
            raise UserError(f"web.{key}: {path}: can't be read; see that the file is there and this user may read it")
        if mark.encode() not in Path(path).read_bytes():
            raise UserError(f"web.{key}: {path}: is no PEM file with -----BEGIN {mark}; see that it is the right one")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and later
    asked = list[str]()

    def password() -> str:  # without it, OpenSSL asks the terminal
        asked.append(settings.key)
        return ""

    try:
        context.load_cert_chain(settings.cert, settings.key, password)
    except (ssl.SSLError, ValueError) as error:
        raise UserError(_fault(settings, has_password=bool(asked), reason=getattr(error, "reason", ""))) from None
    return context


def _fault(settings: WebConfig, *, has_password: bool, reason: str | None) -> str:
    if has_password:
        return f"web.key: {settings.key}: has a password; write it without one: `openssl pkey -in FILE -out FILE`"
    if reason == "KEY_VALUES_MISMATCH":
        return f"web.key: {settings.key}: is not the key of web.cert ({settings.cert}); name two that belong together"
    return f"web.cert: {settings.cert}: it or web.key ({settings.key}) is damaged; write both anew"


def date_fault(settings: WebConfig) -> str:
    """What is wrong with the dates of a certificate that can be used; empty: nothing."""
    context = tls_context(settings)
    if context is None:
        return ""
    client = ssl.create_default_context(cafile=settings.cert)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it is all that is known here of who signed it
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there), context.wrap_bio(there, back, server_side=True)
    try:
        for end in (*ends, *ends):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _DATES:
            return f"web.cert: {settings.cert}: {_DATES[error.verify_code]}, so browsers warn of the page; renew it"
    except ssl.SSLError:
        return ""  # it can be served, whatever this client has against it
    return ""
