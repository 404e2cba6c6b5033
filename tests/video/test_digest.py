"""Answers to challenges, held to the examples of RFC 7616 and RFC 7617."""

import pytest

from jetstream.video.digest import Login, authorization, challenge_of

LOGIN = Login("Mufasa", "Circle of Life")
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_is_that_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = challenge_of([RFC_7616.format(algorithm)])
    assert challenge is not None
    header = authorization(challenge, LOGIN, "/dir/index.html", 1, nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    assert f'response="{response}"' in header
    assert "nc=00000001" in header
    assert 'opaque="FQhe' in header


def test_basic_is_that_of_rfc_7617() -> None:
    challenge = challenge_of(['Basic realm="foo", charset="UTF-8"'])
    assert challenge is not None
    assert authorization(challenge, Login("test", "123£"), "/", 1) == "Basic dGVzdDoxMjPCow=="


def test_best_challenge_is_taken() -> None:
    headers = ['Basic realm="Digest of a, b"', RFC_7616.format("MD5"), RFC_7616.format("SHA-256")]
    challenge = challenge_of(headers)
    assert challenge is not None
    assert (challenge.scheme, challenge.algorithm) == ("digest", "SHA-256")
    joined = challenge_of([", ".join(headers[1:])])
    assert joined is not None
    assert joined.algorithm == "SHA-256"


@pytest.mark.parametrize("header", ["", "Negotiate", "Digest algorithm=UNKNOWN, nonce=a", "Bearer x"])
def test_what_cannot_be_answered_is_none(header: str) -> None:
    assert challenge_of([header]) is None
