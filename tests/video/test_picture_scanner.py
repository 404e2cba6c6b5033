"""Pictures found in a flow of bytes, however it is cut."""

import random

import cv2
import numpy as np
import pytest

from jetstream.video.picture_scanner import PictureScanner, codec_of
from tests.support.http_cameras import picture

SUFFIXES = (".jpg", ".png", ".webp", ".bmp")


def noisy(suffix: str, seed: int) -> bytes:
    image = np.random.default_rng(seed).integers(0, 255, (120, 160, 3), np.uint8)
    return bytes(cv2.imencode(suffix, image)[1])


@pytest.mark.parametrize("size", [1, 2, 7, 100, 5000, 10**6])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_are_found_however_the_flow_is_cut(suffix: str, size: int) -> None:
    pictures = [noisy(suffix, seed) for seed in range(2 if size < 7 else 5)]
    flow = b"".join(b"--b\r\nX: 1\r\n\r\n" + one + b"\r\n" for one in pictures)
    scanner = PictureScanner()
    found = [one for at in range(0, len(flow), size) for one in scanner.feed(flow[at : at + size])]
    assert found == pictures


def test_codecs_are_told_by_content() -> None:
    assert [codec_of(picture(1, suffix)) for suffix in SUFFIXES] == ["mjpeg", "png", "webp", "bmp"]


def test_thumbnail_inside_is_no_picture() -> None:
    inner, outer = picture(1), picture(2)
    segment = b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner
    with_thumbnail = outer[:2] + segment + outer[2:]
    assert PictureScanner().feed(with_thumbnail + picture(3)) == [with_thumbnail, picture(3)]


def test_picture_is_given_with_its_last_byte() -> None:
    scanner = PictureScanner()
    assert scanner.feed(picture(1)[:-1]) == []
    assert scanner.feed(picture(1)[-1:]) == [picture(1)]


def test_damaged_flow_goes_on_at_the_next_picture() -> None:
    dice = random.Random(1)
    scanner = PictureScanner()
    found = scanner.feed(b"\xff\xd8\xff\x00junk\xff\xd8\xff" + dice.randbytes(5000) + picture(1) * 200 + picture(2))
    assert found[-1] == picture(2)
