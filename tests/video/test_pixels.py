"""What a good player shows is what a source gives: upright, with square pixels, in the right colours."""

import gc
import io
import struct
import weakref
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from jetstream.picture_format import AnyPicture, Nv12Picture, PictureFormat, format_of
from jetstream.video.cropping import Crop
from jetstream.video.frames import Frame
from jetstream.video.pixels import FrameConverter, orientation_of
from tests.support.corners import COLOURS, UPRIGHT, filtered, joined, marked, marked_video, shown
from tests.support.defaults import CONFIG, open_source, probe
from tests.support.nv12 import nv12_of, reference_bgr


def h264_turned(path: Path, turn: str) -> Path:
    """A video whose codec says how it is turned. FFmpeg counts anticlockwise here."""
    plain = marked_video(path.with_suffix(".plain.mp4"))
    return filtered(plain, path, f"h264_metadata=display_orientation=insert:{turn}")


def patched(path: Path, box: bytes, values: Sequence[int]) -> Path:
    """The first such box of an MP4 with other 32-bit values."""
    data = bytearray(path.read_bytes())
    struct.pack_into(f">{len(values)}I", data, data.index(box) + 4, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.avi", "a.nut"])
@pytest.mark.parametrize(
    ("size", "aspect", "expected"),
    [
        ((720, 576), Fraction(64, 45), (1024, 576)),
        ((144, 108), Fraction(4, 3), (192, 108)),
        ((160, 120), Fraction(2), (320, 120)),
        ((160, 120), Fraction(1, 2), (160, 240)),
        ((160, 120), Fraction(1), (160, 120)),
    ],
)
def test_pixels_are_square_in_every_container(
    tmp_path: Path, name: str, size: tuple[int, int], aspect: Fraction, expected: tuple[int, int]
) -> None:
    path = marked_video(tmp_path / name, size, aspect=aspect, frames=20)
    assert shown(path) == [(UPRIGHT, *expected)]


@pytest.mark.parametrize(("codec", "name"), [("mpeg2video", "a.mpg"), ("mpeg4", "a.avi"), ("mjpeg", "a.mkv")])
def test_pixels_are_square_with_every_codec(tmp_path: Path, codec: str, name: str) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = {"strict": "unofficial"}
    path = marked_video(
        tmp_path / name, (720, 576), aspect=Fraction(64, 45), frames=3, codec=codec, pix_fmt=pix_fmt, options=options
    )
    ((corner, width, height),) = shown(path)
    assert (corner, height) == (UPRIGHT, 576)
    assert width == pytest.approx(1024, abs=25)  # MPEG-2 states 16:9 of the whole picture


def test_container_has_the_last_word(tmp_path: Path) -> None:
    path = marked_video(tmp_path / "a.mp4", aspect=Fraction(2), frames=2)
    assert shown(patched(path, b"pasp", (3, 2))) == [(UPRIGHT, 240, 120)]
    assert shown(patched(path, b"pasp", (1, 1))) == [(UPRIGHT, 160, 120)]


def test_codec_counts_where_the_container_states_nothing(tmp_path: Path) -> None:
    plain = marked_video(tmp_path / "plain.mp4")
    path = filtered(plain, tmp_path / "a.ts", "h264_metadata=sample_aspect_ratio=4/3")
    assert shown(path) == [(UPRIGHT, 213, 120)]


@pytest.mark.parametrize("aspect", [(0, 1), (1, 0), (0, 0), (1, 1000), (60000, 1), (0xFFFFFFFF, 1)])
def test_absurd_aspect_counts_as_square(tmp_path: Path, aspect: tuple[int, int]) -> None:
    path = patched(marked_video(tmp_path / "a.mp4", aspect=Fraction(1), frames=2), b"pasp", aspect)
    assert shown(path) == [(UPRIGHT, 160, 120)]


def test_shape_may_change_on_the_way(tmp_path: Path) -> None:
    plain = marked_video(tmp_path / "plain.ts")
    wide = marked_video(tmp_path / "wide.ts", aspect=Fraction(3, 2))
    path = joined(tmp_path / "joined.ts", [plain, wide, plain])
    expected = [(UPRIGHT, 160, 120), (UPRIGHT, 240, 120), (UPRIGHT, 160, 120)]
    assert shown(path) == expected
    assert shown(path, fps_limit=6) == expected


def test_limits_hold_for_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    wide = marked_video(tmp_path / "a.mp4", aspect=Fraction(2), frames=2)
    assert shown(wide, max_width=160, max_height=160) == [(UPRIGHT, 160, 60)]
    assert shown(wide, max_width=160, max_height=160, rotate=90) == [("BRWG", 60, 160)]
    assert shown(wide, max_width=1920, max_height=160, rotate=270) == [("GWRB", 60, 160)]


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", ["", "horizontal", "vertical", "both"])
def test_every_source_is_turned_as_its_camera_is_mounted(tmp_path: Path, rotate: int, flip: str) -> None:
    video = marked_video(tmp_path / "a.mp4", frames=2)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(marked(160, 120)[..., ::-1]).save(tmp_path / "pictures" / "a.png")
    settings = {"rotate": rotate, "flip": flip}
    assert shown(video, **settings) == shown(tmp_path / "pictures", **settings)
    (of_video,) = shown(video, **settings)
    assert of_video[1:] == ((120, 160) if rotate in (90, 270) else (160, 120))


@pytest.mark.parametrize(("rotate", "size"), [(0, (1280, 720)), (90, (608, 1080)), (180, (1280, 720))])
def test_demo_is_turned(rotate: int, size: tuple[int, int]) -> None:
    found = probe("demo", rotate=rotate)
    assert (found.width, found.height) == size
    with open_source("demo", rotate=rotate, fps_limit=0.1) as source:
        assert next(source).image.shape == (*reversed(size), 3)


ORIENTATIONS = [
    ("rotate=90", "GWRB"),
    ("rotate=180", "WBGR"),
    ("rotate=270", "BRWG"),
    ("flip=horizontal", "GRWB"),
    ("flip=vertical", "BWRG"),
    ("rotate=90:flip=horizontal", None),
]


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv"])
@pytest.mark.parametrize(("turn", "expected"), ORIENTATIONS)
def test_orientation_in_h264_holds_for_all_frames(tmp_path: Path, name: str, turn: str, expected: str | None) -> None:
    """It comes with the key frame alone."""
    path = h264_turned(tmp_path / name, turn)
    ((corner, width, height),) = shown(path)
    assert corner == expected or (expected is None and corner in ("RBGW", "WGBR"))
    assert (width, height) == ((120, 160) if "90" in turn or "270" in turn else (160, 120))


def h265_orientation(quarters: int) -> bytes:
    """An SEI unit (H.265, D.2.17), `quarters` of a turn anticlockwise, that holds on."""
    bits = f"000{quarters << 14:016b}1".ljust(24, "0")
    return b"\0\0\0\1\x4e\x01" + bytes((47, 3)) + int(bits, 2).to_bytes(3, "big") + b"\x80"


@pytest.mark.parametrize(("quarters", "expected"), [(1, "GWRB"), (2, "WBGR"), (3, "BRWG")])
def test_orientation_in_h265_holds_for_all_frames(tmp_path: Path, quarters: int, expected: str) -> None:
    options = {"x265-params": "log-level=none:bframes=0"}
    path = marked_video(tmp_path / "a.ts", codec="libx265", options=options, sei=h265_orientation(quarters))
    assert [corner for corner, _, _ in shown(path)] == [expected]


@pytest.mark.parametrize("fps_limit", [0, 6])
def test_orientation_may_change_on_the_way(tmp_path: Path, fps_limit: float) -> None:
    plain = marked_video(tmp_path / "plain.ts")
    turned = [h264_turned(tmp_path / f"{degrees}.ts", f"rotate={degrees}") for degrees in (90, 180)]
    path = joined(tmp_path / "joined.ts", [plain, *turned, plain])
    expected = [(UPRIGHT, 160, 120), ("GWRB", 120, 160), ("WBGR", 160, 120), (UPRIGHT, 160, 120)]
    assert shown(path, fps_limit=fps_limit) == expected


def test_stated_orientation_comes_before_the_cameras(tmp_path: Path) -> None:
    path = h264_turned(tmp_path / "a.ts", "rotate=90")
    assert shown(path, rotate=90) == [(UPRIGHT, 160, 120)]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, "RGBW"), (2, "GRWB"), (3, "WBGR"), (4, "BWRG"), (5, "RBGW"), (6, "BRWG"), (7, "WGBR"), (8, "GWRB")],
)
def test_motion_jpeg_with_exif_is_upright(tmp_path: Path, orientation: int, expected: str) -> None:
    """FFmpeg 8 attaches the EXIF data to its frames, a kind of data that PyAV doesn't know."""
    exif, data = Image.Exif(), io.BytesIO()
    exif[0x112] = orientation
    Image.fromarray(marked(160, 120)[..., ::-1]).save(data, "JPEG", exif=exif, quality=95)
    path = tmp_path / "a.mjpeg"
    path.write_bytes(data.getvalue() * 3)
    assert [corner for corner, _, _ in shown(path)] == [expected]


def test_looking_at_a_frame_does_not_hold_it(tmp_path: Path) -> None:
    path = h264_turned(tmp_path / "a.ts", "rotate=90")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        gc.disable()
        try:
            assert orientation_of(frame, 90).transposed
            plane = weakref.ref(frame) if hasattr(type(frame), "__weakref__") else None
            referrers = len(gc.get_referrers(frame))
            orientation_of(frame, 90)
            assert len(gc.get_referrers(frame)) == referrers
            assert plane is None or plane() is frame
        finally:
            gc.enable()


@pytest.mark.parametrize("size", [(161, 121), (322, 242), (2, 2), (34, 18), (1918, 34)])
def test_odd_sizes_are_given_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    """H.264 codes whole blocks of 16 px and states what to cut off."""
    path = marked_video(tmp_path / "a.mp4", size, pix_fmt="yuv444p", frames=2)
    assert shown(path)[0][1:] == size


def test_interlaced_frames_are_woven(tmp_path: Path) -> None:
    path = marked_video(tmp_path / "a.mp4", options={"x264-params": "interlaced=1:tff=1"})
    assert shown(path) == [(UPRIGHT, 160, 120)]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_colours_are_right_in_both_ranges(tmp_path: Path, pix_fmt: str, full_range: bool) -> None:
    options = {"crf": "4", "color_range": "pc" if full_range else "tv"}
    path = marked_video(tmp_path / "a.mp4", pix_fmt=pix_fmt, full_range=full_range, options=options, frames=2)
    assert colours_are_right(path)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuvj420p"),
        ("a.mp4", "libx264", "nv12"),
        ("a.mp4", "libx264rgb", "bgr24"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.mkv", "ffv1", "gbrp10le"),
        ("a.avi", "rawvideo", "yuyv422"),
        ("a.avi", "rawvideo", "uyvy422"),
        ("a.avi", "rawvideo", "bgr24"),
        ("a.mov", "png", "rgb24"),
        ("a.mov", "qtrle", "rgb24"),
    ],
)
def test_colours_are_right_in_every_format(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    full_range = pix_fmt == "yuvj420p"
    options = {"crf": "4"} if codec.startswith("libx264") else {}
    path = marked_video(tmp_path / name, codec=codec, pix_fmt=pix_fmt, full_range=full_range, options=options, frames=2)
    assert colours_are_right(path)


def colours_are_right(path: Path) -> bool:
    with open_source(str(path)) as source:
        image = next(source).image
    middles = [image[y - 9 : y + 9, x - 9 : x + 9].mean((0, 1)) - 3.5 for y in (30, 90) for x in (40, 120)]
    return np.allclose(middles, list(COLOURS.values()), atol=4)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray16le"])
def test_grey_cameras_give_three_equal_channels(tmp_path: Path, pix_fmt: str) -> None:
    path = marked_video(tmp_path / "a.mkv", codec="ffv1", pix_fmt=pix_fmt, frames=2)
    with open_source(str(path)) as source:
        image = next(source).image
    assert image.shape == (120, 160, 3)
    assert np.abs(image.astype(int) - image[..., :1]).max() <= 1
    assert float(image[80:100, 110:130, 0].mean()) == pytest.approx(233.5, abs=3)


def test_size_and_shape_are_said(tmp_path: Path) -> None:
    path = marked_video(tmp_path / "a.mp4", (720, 576), aspect=Fraction(64, 45), frames=2)
    found = probe(str(path))
    assert (found.width, found.height) == (1024, 576)
    assert str(found) == f"{path} (720x576, 25 fps, 2 frames), delivered as 1024x576"


def in_both_formats(path: Path, **settings: object) -> list[tuple[AnyPicture, np.ndarray]]:
    """Each frame as it comes from a source that may give NV12, and as BGR by swscale."""
    with open_source(str(path), **settings) as free, open_source(str(path), **settings) as bgr:
        free.may_give_nv12 = True
        return [(one.picture, other.image) for one, other in zip(free, bgr, strict=True)]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["", "bt470bg", "smpte170m", "bt709", "bt2020nc"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12"])
def test_nv12_has_the_colours_that_bgr_has(tmp_path: Path, pix_fmt: str, matrix: str, full_range: bool) -> None:
    """An encoder that takes nv12 writes the same stream as from yuv420p."""
    flags = f"fullrange={'on' if full_range else 'off'}" + (f":colormatrix={matrix}" if matrix else "")
    options = {"crf": "4", "x264-params": flags}
    path = marked_video(tmp_path / "a.mp4", pix_fmt=pix_fmt, full_range=full_range, options=options, frames=2)
    for picture, bgr in in_both_formats(path):
        assert isinstance(picture, Nv12Picture)
        expected = f"NV12_{'709' if matrix in ('bt709', 'bt2020nc') else '601'}{'_FULL' if full_range else ''}"
        assert picture.format.name == expected
        assert np.abs(picture.bgr().astype(int) - bgr).max() <= 3


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "nv12"])
@pytest.mark.parametrize("size", [(160, 120), (161, 121), (162, 121), (33, 34)])
def test_planes_are_taken_as_they_lie(tmp_path: Path, size: tuple[int, int], pix_fmt: str) -> None:
    """Also where they are of odd size. Chroma of odd heights is swscale's own affair, so only luma is compared."""
    frame = av.VideoFrame(*size, pix_fmt)
    random = np.random.default_rng(2)
    for plane in frame.planes:
        plane.update(random.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    convert = FrameConverter(CONFIG.cameras[0])
    convert.see(frame, lambda: None)
    picture = convert.planes(frame)
    assert picture is not None
    assert picture.shape == (size[1], size[0])
    own = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    np.testing.assert_array_equal(picture.luma, own[0][: size[1], : size[0]])
    rows, columns = (size[1] + 1) // 2, (size[0] + 1) // 2
    if pix_fmt == "nv12":
        pairs = own[1][:rows, : 2 * columns].reshape(rows, columns, 2)
    else:
        pairs = np.stack([plane[:rows, :columns] for plane in own[1:]], axis=-1)
    np.testing.assert_array_equal(picture.chroma, pairs)
    assert picture.format.name == ("NV12_601_FULL" if pix_fmt == "yuvj420p" else "NV12_601")


@pytest.mark.parametrize(
    ("made", "settings"),
    [
        ({"pix_fmt": "yuv422p"}, {}),
        ({"pix_fmt": "yuv444p"}, {}),
        ({"pix_fmt": "yuv420p10le"}, {}),
        ({"aspect": Fraction(2)}, {}),
        ({}, {"max_width": 80, "max_height": 60}),
        ({}, {"rotate": 180}),
        ({}, {"flip": "horizontal"}),
    ],
    ids=["4:2:2", "4:4:4", "10 bits", "wide pixels", "smaller", "turned", "mirrored"],
)
def test_frames_that_must_be_converted_are_bgr(
    tmp_path: Path, made: dict[str, object], settings: dict[str, object]
) -> None:
    path = marked_video(tmp_path / "a.mp4", frames=2, **made)  # type: ignore[arg-type]
    for picture, bgr in in_both_formats(path, **settings):
        np.testing.assert_array_equal(picture, bgr)


def test_frames_of_a_turned_stream_are_bgr(tmp_path: Path) -> None:
    for picture, bgr in in_both_formats(h264_turned(tmp_path / "a.ts", "rotate=90")):
        np.testing.assert_array_equal(picture, bgr)


def test_cut_frames_are_bgr(tmp_path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(marked(160, 120), "bgr24").reformat(format="yuv420p")
    convert = FrameConverter(CONFIG.cameras[0])
    convert.crop = Crop(left=8, top=0, right=0, bottom=4)
    convert.see(frame, lambda: None)
    assert convert.planes(frame) is None
    assert convert(frame).shape == (116, 152, 3)


def test_source_gives_bgr_unless_it_is_asked(tmp_path: Path) -> None:
    with open_source(str(marked_video(tmp_path / "a.mp4"))) as source:
        assert format_of(next(source).picture) is PictureFormat.BGR


def test_frame_shows_its_nv12_as_bgr() -> None:
    picture = nv12_of(marked(64, 48), PictureFormat.NV12_709)
    np.testing.assert_array_equal(Frame(picture, 0.0).image, reference_bgr(picture))
