"""Certificates that sign themselves, made by the program openssl."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

OPENSSL = shutil.which("openssl")


class Certificate(NamedTuple):
    cert: Path
    key: Path


def openssl(*words: str | Path) -> None:
    if OPENSSL is None:
        pytest.skip("needs the program openssl, which is not installed here")
    subprocess.run([OPENSSL, *map(str, words)], check=True, capture_output=True)


def certificate(folder: Path, host: str = "127.0.0.1", name: str = "page") -> Certificate:
    """For an address, valid for a day. The test is skipped where there is no openssl."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{host}", "-out", made.cert, "-keyout", made.key),
    )
    return made


def expired(folder: Path) -> Certificate:
    old = certificate(folder, name="old")
    openssl("x509", "-in", old.cert, "-signkey", old.key, "-days", "-1", "-out", folder / "expired.pem")
    return old._replace(cert=folder / "expired.pem")
