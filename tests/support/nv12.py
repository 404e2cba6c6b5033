"""NV12 pictures to test with, and their colours by the standards' formulas, step by step in numpy."""

import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import Nv12Picture, PictureFormat

FORMATS = tuple(form for form in PictureFormat if form is not PictureFormat.BGR)


def shares_of(form: PictureFormat) -> tuple[float, float, bool]:
    """Kr, Kb (BT.601-7, 2.5.1; BT.709-6, 3.2) and whether the range is full, by the format's name."""
    red, blue = (0.2126, 0.0722) if "709" in form.name else (0.299, 0.114)
    return red, blue, form.name.endswith("FULL")


def exact_bgr(luma: NDArray[np.uint8], chroma: NDArray[np.uint8], form: PictureFormat) -> NDArray[np.float64]:
    """255 E'B, 255 E'G and 255 E'R, not rounded and not cut, of Y (H, W) and of Cb, Cr (H, W, 2)."""
    red, blue, full = shares_of(form)
    y = luma / 255.0 if full else (luma - 16.0) / 219
    cb, cr = ((chroma[..., one] - 128.0) / (255 if full else 224) for one in (0, 1))
    r, b = y + (2 - 2 * red) * cr, y + (2 - 2 * blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return 255 * np.stack([b, g, r], axis=-1)


def reference_bgr(picture: Nv12Picture) -> NDArray[np.uint8]:
    """The whole-number formula of `picture_format`, with coefficients of its own."""
    red, blue, full = shares_of(picture.format)
    luma_scale, chroma_scale, black = (1.0, 1.0, 0) if full else (255 / 219, 255 / 224, 16)
    of_cr, of_cb = chroma_scale * 2 * (1 - red), chroma_scale * 2 * (1 - blue)
    green = 1 - red - blue
    height, width = picture.shape
    chroma = picture.chroma.repeat(2, axis=0).repeat(2, axis=1)[:height, :width].astype(np.int64) - 128
    luma = round(1024 * luma_scale) * (picture.luma.astype(np.int64) - black)
    blue_sum = luma + round(1024 * of_cb) * chroma[..., 0]
    green_by = round(-1024 * of_cb * blue / green), round(-1024 * of_cr * red / green)
    green_sum = luma + green_by[0] * chroma[..., 0] + green_by[1] * chroma[..., 1]
    red_sum = luma + round(1024 * of_cr) * chroma[..., 1]
    sums = np.stack([blue_sum, green_sum, red_sum], axis=-1)
    return np.clip((sums + 512) >> 10, 0, 255).astype(np.uint8)


def noise_nv12(height: int, width: int, form: PictureFormat, seed: int = 1) -> Nv12Picture:
    """Of any bytes."""
    random = np.random.default_rng(seed)
    luma = random.integers(0, 256, (height, width), np.uint8)
    chroma = random.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 2), np.uint8)
    return Nv12Picture(luma, chroma, form)


def nv12_of(image: NDArray[np.uint8], form: PictureFormat) -> Nv12Picture:
    """A picture (H, W, 3) uint8 BGR as a camera would send it: Cb and Cr are means of 2 x 2 pixels."""
    red, blue, full = shares_of(form)
    b, g, r = (image[..., one] / 255.0 for one in range(3))
    y = red * r + (1 - red - blue) * g + blue * b
    luma = 255 * y if full else 219 * y + 16
    differences = np.stack([(b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)], axis=-1)
    height, width = y.shape
    padded = np.pad(differences, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    means = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2, 2).mean(axis=(1, 3))
    chroma = (255 if full else 224) * means + 128
    planes = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, chroma))
    return Nv12Picture(*planes, form)


def apart(picture: Nv12Picture, pitch: int) -> Nv12Picture:
    """The same in memory whose rows are `pitch` bytes apart, with other bytes between them."""
    height, width = picture.shape
    rows, columns = picture.chroma.shape[:2]
    luma, chroma = np.full((height, pitch), 77, np.uint8), np.full((rows, pitch // 2, 2), 99, np.uint8)
    luma[:, :width], chroma[:, :columns] = picture.luma, picture.chroma
    return Nv12Picture(luma[:, :width], chroma[:, :columns], picture.format)
