"""The page's certificate, as TLS needs it."""

import os
import ssl

from jetstream.config.schema import WebConfig
from jetstream.errors import UserError


def tls_context(settings: WebConfig) -> ssl.SSLContext | None:
    """Of web.cert and web.key; None: there is none. Raises UserError: it can't be used."""
    if not settings.cert:
        return None
    for key, path in (("cert", settings.cert), ("key", settings.key)):
        if not os.access(path, os.R_OK):
            raise UserError(f"web.{key}: {path}: can't be read; see that the file is there and this user may read it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and later
    try:
        context.load_cert_chain(settings.cert, settings.key, password=str)  # empty; OpenSSL would ask the terminal
    except ssl.SSLError as error:
        raise UserError(_fault(settings, error.reason or "")) from None
    except (OSError, ValueError) as error:  # a folder; a key that has a password
        raise UserError(_fault(settings, str(error))) from None
    return context


def _fault(settings: WebConfig, reason: str) -> str:
    if reason == "KEY_VALUES_MISMATCH":
        return f"web.key: {settings.key}: is not the key of web.cert ({settings.cert}); name two that belong together"
    if "PASSWORD" in reason.upper() or "DECRYPT" in reason:
        return f"web.key: {settings.key}: has a password; write it without one: `openssl pkey -in FILE -out FILE`"
    return (
        f"web.cert: {settings.cert}: it or web.key ({settings.key}) can't be used; expected PEM: the certificate, then "
        "those that signed it, and its key"
    )
