"""NV12 through the kernels, compiled for the CPU here: the answers are those of its BGR, bit for bit."""

import ctypes

import av
import cv2
import numpy as np
import pytest

from jetstream.gpu.embedder import GpuEmbedder
from jetstream.networks import embedders
from jetstream.picture_format import Nv12Picture, PictureFormat
from jetstream.vision.boxes import iou
from jetstream.vision.detection import motion
from jetstream.vision.detection.detector import DetectorInput
from jetstream.vision.detection.mtcnn import MtcnnDetector
from jetstream.vision.recognition import align
from tests.support import defaults
from tests.support.file_slots import on_gpu
from tests.support.gpu import THRESHOLDS
from tests.support.gpu_emulation import EmulatedDevice
from tests.support.nv12 import FORMATS, apart, noise_nv12, nv12_of, reference_bgr

NOBODY = np.empty((0, 4), np.float32)


def by_name(form):
    return form.name


def whole(image):
    return DetectorInput(image, NOBODY, search=True)


def answers(detector, inputs):
    return detector.collect(detector.submit(inputs))


def assert_same(given, wanted):
    np.testing.assert_array_equal(given.faces.boxes, wanted.faces.boxes)
    np.testing.assert_array_equal(given.faces.scores, wanted.faces.scores)
    np.testing.assert_array_equal(given.faces.landmarks, wanted.faces.landmarks)
    np.testing.assert_array_equal(given.thumbnail, wanted.thumbnail)


def halvings(detector, planned):
    """What the kernels wrote of the first picture of a plan: halving 0, 1, 2 ... as (rows, columns, 3)."""
    picture = planned.pictures[0]
    for k in range(int(picture["most_halving"]) + 1):
        rows, columns = int(picture["rows"][k]), int(picture["columns"][k])
        address = detector._cascade._memory.halvings + int(picture["pixels"][k])
        memory = (ctypes.c_uint8 * (rows * columns * 3)).from_address(address)
        yield np.frombuffer(memory, np.uint8).reshape(rows, columns, 3)


def halved(image):
    """`vision.detection.pyramid`, 1."""
    while True:
        yield image
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        four = image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, 3).astype(int)
        image = ((four.sum(axis=(1, 3)) + 2) >> 2).astype(np.uint8)


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (121, 333), (37, 300), (7, 5), (1, 1), (2, 33)])
def test_every_size_is_made_of_the_formulas_bgr(opened, size, form):
    picture, detector = noise_nv12(*size, form), opened(thresholds=(0.9999, 0.9999, 0.9999))
    ticket = detector.submit([whole(picture)])
    (seen,) = detector.collect(ticket)
    for given, wanted in zip(halvings(detector, ticket.plan), halved(reference_bgr(picture)), strict=False):
        np.testing.assert_array_equal(given, wanted)
    np.testing.assert_array_equal(seen.thumbnail, motion.thumbnail(reference_bgr(picture)))


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
@pytest.mark.parametrize("size", [(400, 640), (399, 641)])
def test_faces_are_those_of_its_bgr(opened, people, size, form):
    picture = nv12_of(cv2.resize(people, size[::-1], interpolation=cv2.INTER_AREA), form)
    (given,), (wanted,) = (answers(opened(), [whole(one)]) for one in (picture, reference_bgr(picture)))
    assert len(wanted.faces.boxes) >= 3
    assert_same(given, wanted)


def test_formats_and_sizes_share_batches_that_follow_each_other(opened, people):
    """Small graphs, too: batches are computed again from the planes."""
    small, mirrored = people[:200, :251], np.ascontiguousarray(people[:, ::-1])
    batches = [
        [people, nv12_of(small, PictureFormat.NV12_709)],
        [nv12_of(people, PictureFormat.NV12_601_FULL), mirrored, small],
        [nv12_of(mirrored, PictureFormat.NV12_709_FULL), nv12_of(people, PictureFormat.NV12_601)],
    ]
    in_bgr = [[reference_bgr(one) if isinstance(one, Nv12Picture) else one for one in batch] for batch in batches]
    given = []
    for batches_of_kind, detector in ((batches, opened(rnet=(4, 12), onet=(2, 4))), (in_bgr, opened())):
        tickets, outputs = [], []
        for batch in batches_of_kind:
            tickets.append(detector.submit([whole(one) for one in batch]))
            if len(tickets) == 2:
                outputs += detector.collect(tickets.pop(0))
        given.append(outputs + detector.collect(tickets.pop(0)))
    for one, wanted in zip(*given, strict=True):
        assert_same(one, wanted)


def test_known_faces_are_verified_in_it(opened, people):
    picture = nv12_of(people, PictureFormat.NV12_709)
    known = answers(opened(), [whole(picture)])[0].faces.boxes
    aside = known + np.float32(0.45) * (known[:, 2:3] - known[:, :1]) * np.array([1, 0, 1, 0], np.float32)
    for boxes in (known, aside):
        inputs = [DetectorInput(one, boxes, search=False) for one in (picture, reference_bgr(picture))]
        given, wanted = (answers(opened(), [one])[0] for one in inputs)
        assert_same(given, wanted)


@pytest.mark.parametrize("pitch", [640, 704])
def test_pictures_on_the_gpu_are_used_where_they_lie(opened, people, monkeypatch, pitch):
    picture, detector = apart(nv12_of(people, PictureFormat.NV12_709), pitch), opened()
    uploads = uploads_of(detector._device, monkeypatch)
    assert_same(answers(detector, [whole(on_gpu(picture))])[0], answers(opened(), [whole(picture)])[0])
    assert picture.luma.nbytes not in uploads


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (121, 333), (7, 5), (1, 1), (9, 1), (2, 33)])
def test_thumbnails_of_pictures_on_the_gpu_are_those_of_the_cpu(opened, size, form):
    picture = apart(noise_nv12(*size, form), size[1] + size[1] % 2 + 30)
    np.testing.assert_array_equal(opened().gpu.thumbnail(on_gpu(picture)), motion.thumbnail(picture))


def uploads_of(device, monkeypatch):
    uploads = []
    upload = device.upload
    monkeypatch.setattr(
        device, "upload", lambda to, source, on: (uploads.append(source.nbytes), upload(to, source, on))
    )
    return uploads


def test_half_the_bytes_are_copied(opened, people, monkeypatch):
    detector = opened()
    uploads = uploads_of(detector._device, monkeypatch)
    answers(detector, [whole(nv12_of(people, PictureFormat.NV12_709))])
    height, width = people.shape[:2]
    assert uploads.count(height * width) == 1
    assert uploads.count(height * width // 2) == 1
    assert people.nbytes not in uploads


@pytest.mark.parametrize("pitch", [640, 704])
def test_planes_in_shared_memory_are_read_where_they_lie(opened, people, monkeypatch, pitch):
    picture, detector = apart(nv12_of(people, PictureFormat.NV12_601), pitch), opened()
    detector._device.reads_host_memory = True
    uploads = uploads_of(detector._device, monkeypatch)
    assert_same(answers(detector, [whole(picture)])[0], answers(opened(), [whole(reference_bgr(picture))])[0])
    assert picture.luma.nbytes not in uploads


def test_rows_that_lie_apart_are_copied_without_what_is_between(opened, people):
    picture = nv12_of(people, PictureFormat.NV12_601)
    assert_same(*(answers(opened(), [whole(one)])[0] for one in (apart(picture, 704), picture)))


def test_room_is_kept_for_both_formats(opened, people):
    detector = opened()
    detector._cascade.reserve([people.shape[:2]])
    room = detector._cascade._memory.room
    answers(detector, [whole(people)])
    answers(detector, [whole(nv12_of(people, PictureFormat.NV12_709))])
    assert detector._cascade._memory.room == room


class NoNet:
    """Embeds nothing: only chips are looked at."""

    rows = 2, 5

    def enqueue(self, rows, image, outputs, stream): ...


@pytest.fixture(params=["dlib", "sface"])
def cutter(request, library):
    return GpuEmbedder(EmulatedDevice(library), NoNet(), embedders.SPECS[request.param])


def placed(turn_deg, scale, centre):
    """(5, 2): landmarks of an upright face turned about its middle, scaled, and put at `centre`."""
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (align.DLIB.points - 75) @ turn.T * scale + centre


def assert_same_chips(cutter, views):
    placed_there = [(on_gpu(one) if isinstance(one, Nv12Picture) else one, points) for one, points in views]
    for given, wanted in zip(cutter.look(placed_there), cutter.look(views), strict=True):
        np.testing.assert_array_equal(given.chips, wanted.chips)
        np.testing.assert_array_equal(given.dlib_chips, wanted.dlib_chips)
    in_bgr = [(reference_bgr(one) if isinstance(one, Nv12Picture) else one, points) for one, points in views]
    for given, wanted, (picture, points) in zip(cutter.look(views), cutter.look(in_bgr), views, strict=True):
        np.testing.assert_array_equal(given.chips, wanted.chips)
        for chips, template in ((given.chips, cutter.spec.template), (given.dlib_chips, align.DLIB)):
            assert np.abs(chips.astype(int) - align.chips(picture, points, template)).max(initial=0) <= 1


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
@pytest.mark.parametrize("scale", [0.3, 1.0, 2.3, 5.0])
def test_chips_are_those_of_its_bgr(cutter, scale, form):
    assert_same_chips(cutter, [(noise_nv12(601, 803, form), placed(17, scale, (401.3, 302.7))[None])])


@pytest.mark.parametrize("centre", [(0, 0), (400, 5), (203, 301), (-60, 151), (401, 299), (9999, 9999)])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_chips_over_the_border_are_those_of_its_bgr(cutter, centre, scale):
    picture = noise_nv12(301, 403, PictureFormat.NV12_709)
    assert_same_chips(cutter, [(picture, placed(30, scale, centre)[None])])


def test_formats_and_faces_share_a_call(cutter):
    assert_same_chips(
        cutter,
        [
            (
                noise_nv12(300, 402, PictureFormat.NV12_709),
                np.stack([placed(3, 0.5, (99, 88)), placed(0, 4.0, (9, 9))]),
            ),
            (reference_bgr(noise_nv12(90, 50, PictureFormat.NV12_601)), placed(5, 0.4, (20, 30))[None]),
            (noise_nv12(77, 55, PictureFormat.NV12_601_FULL), np.empty((0, 5, 2))),
            (apart(noise_nv12(1, 9, PictureFormat.NV12_709_FULL), 64), placed(5, 0.4, (3, 1))[None]),
        ],
    )


def test_chips_from_shared_memory_are_cut_where_it_lies(cutter, monkeypatch):
    device = cutter._device
    device.reads_host_memory = True
    uploads = uploads_of(device, monkeypatch)
    picture = apart(noise_nv12(300, 402, PictureFormat.NV12_709), 512)
    assert_same_chips(cutter, [(picture, placed(3, 0.9, (190, 145))[None])])
    assert max(uploads) < 402 * 50


@pytest.fixture(scope="module")
def decoded(data_dir):
    """Frames of a real video, each as NV12 and as the BGR that swscale makes of it."""
    frames = []
    with av.open(str(data_dir / "video" / "friends_dev.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 60 == 0:
                y, u, v = (np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes)
                chroma = cv2.merge([u[:, : frame.width // 2], v[:, : frame.width // 2]])
                picture = Nv12Picture(y[:, : frame.width].copy(), chroma, PictureFormat.NV12_601)
                frames.append((picture, frame.to_ndarray(format="bgr24")))
            if len(frames) == 8:
                break
    return frames


def test_colours_are_near_those_of_swscale(decoded):
    differences = [np.abs(picture.bgr().astype(int) - bgr) for picture, bgr in decoded]
    assert max(one.max() for one in differences) <= 3
    assert np.mean([one.mean() for one in differences]) < 1.3


def test_faces_are_near_those_of_swscales_bgr(decoded, runners):
    """By the CPU's detector, whose answers are the GPU's."""
    detector = MtcnnDetector(defaults.mtcnn(*runners, thresholds=THRESHOLDS))
    faces = 0
    for picture, bgr in decoded:
        (given,), (wanted,) = (answers(detector, [whole(one)]) for one in (picture, bgr))
        sure = wanted.faces.scores > 0.9
        overlaps = iou(wanted.faces.boxes[sure], given.faces.boxes).max(axis=1, initial=0)
        assert (overlaps > 0.9).all()
        faces += sure.sum()
    assert faces >= 8
