"""The signature of a webhook, as Standard Webhooks has it: HMAC-SHA256 over id, time and body.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import Final

from jetstream.config import secrets
from jetstream.errors import UserError

PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64


def signing_key(path: Path, who: str) -> bytes:
    """The key in a secret file: `whsec_` and base64. `who` begins the error. Raises UserError."""
    text = secrets.read(path, who, "secret_file").strip()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except binascii.Error:
        key = b""
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise UserError(
            f"{who}: secret_file: {path}: expected {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} bytes in base64; make "
            f'one with `echo "{PREFIX}$(openssl rand -base64 32)"`'
        )
    return key


def signed_headers(id_: str, body: bytes, time_s: int, key: bytes | None) -> dict[str, str]:
    """The headers of one try. `time_s`: Unix time of this try. Without a key, there is no signature among them."""
    headers = {"webhook-id": id_, "webhook-timestamp": str(time_s), "idempotency-key": id_}
    if key is not None:
        digest = hmac.new(key, f"{id_}.{time_s}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers
