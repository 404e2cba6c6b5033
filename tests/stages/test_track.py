"""The track stage: what it asks, when, and how answers become names. In one process, without a picture."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from jetstream.config.schema import Config
from jetstream.messages import Detected, Ended, Face, Message, Named, NamedFace, Tick, Tracked, Wanted
from jetstream.stages.track import track
from tests.support.stage_messages import config_of, frame_of, rings_for

LEFT, RIGHT = 100.0, 900.0


def face_at(x: float, score: float = 0.999) -> Face:
    """A frontal face 120 px wide."""
    points = [(x + 35, 150), (x + 85, 150), (x + 60, 180), (x + 40, 210), (x + 80, 210)]
    landmarks = tuple(float(value) for point in points for value in point)
    return Face(box=(x, 100.0, x + 120, 250.0), score=score, landmarks=landmarks)  # type: ignore[arg-type]


def detected(frame_id: int, *xs: float, camera: str = "a", cut: bool = False) -> Detected:
    return Detected(frame=frame_of(frame_id, camera), faces=tuple(face_at(x) for x in xs), cut=cut)


def answer(wanted: Wanted, *names: str | None) -> Named:
    faces = tuple(
        NamedFace(track_id=face.track_id, name=name, confidence=0.99 if name else 0.01, distance=0.3, nearest="Ada")
        for face, name in zip(wanted.faces, names, strict=False)
    )
    return Named(frame=wanted.frame, faces=faces)


def config(pace: str, *cameras: str) -> Config:
    return config_of(Path("models"), *cameras, pipeline={"pace": pace})


def test_live_frame_goes_on_at_once_and_its_answer_counts_from_the_next() -> None:
    settings = config("live")
    wanted: list[Wanted] = []

    def messages() -> Iterator[Message]:
        yield detected(0, LEFT)
        yield answer(wanted[0], "Ada")
        yield detected(1, LEFT)

    said = []
    for message in track(messages(), rings_for(settings), settings):
        if isinstance(message, Wanted):
            wanted.append(message)
        said.append(message)

    kinds = [type(message).__name__ for message in said]
    assert kinds == ["Wanted", "Tracked", "Tracked"]
    before, after = (message.faces[0] for message in said if isinstance(message, Tracked))
    assert (before.name, before.votes) == (None, ())
    assert (after.name, after.votes[0].name) == ("Ada", "Ada")


@pytest.mark.parametrize(("min_quality", "is_asked"), [(0.0, True), (0.05, False)])
def test_poorest_face_is_asked_about_where_min_quality_is_zero(min_quality: float, is_asked: bool) -> None:
    settings = config_of(Path("models"), recognize={"min_quality": min_quality})
    box = (100.0, 100.0, 121.0, 126.0)  # 21 px wide: of quality 0.01
    points = ((106, 109), (115, 109), (110.5, 114), (107, 119), (114, 119))
    landmarks = tuple(float(value) for point in points for value in point)
    frame = Detected(frame=frame_of(0), faces=(Face(box=box, score=0.999, landmarks=landmarks),))  # type: ignore[arg-type]

    said = list(track(iter([frame]), rings_for(settings), settings))

    assert [type(message) for message in said] == ([Wanted, Tracked] if is_asked else [Tracked])


def test_faces_that_no_track_follows_go_on_to_be_hidden() -> None:
    settings = config("live")
    ignored = (1.0, 2.0, 30.0, 40.0)
    frame = Detected(frame=frame_of(0), faces=(face_at(LEFT), face_at(RIGHT, score=0.6)), ignored=(ignored,))

    (told,) = (
        message for message in track(iter([frame]), rings_for(settings), settings) if isinstance(message, Tracked)
    )

    assert [face.box[0] for face in told.faces] == [LEFT]
    assert told.others == (ignored, face_at(RIGHT).box)


def run_every_frame(frames: list[Detected], names: dict[int, str | None], settings: Config) -> list[Tracked]:
    """The stage with a `recognize` that knows each face by its place: left or right."""
    answers: list[Message] = []

    def messages() -> Iterator[Message]:
        for frame in frames:
            yield frame
            while answers:
                yield answers.pop(0)
        yield Ended(sender="detect")
        while answers:
            yield answers.pop(0)

    said = []
    for message in track(messages(), rings_for(settings), settings):
        if isinstance(message, Wanted):
            sides = [names[0 if face.landmarks[0] < 500 else 1] for face in message.faces]
            answers.append(answer(message, *sides))
        elif isinstance(message, Tracked):
            said.append(message)
    return said


def test_every_frame_is_held_until_its_answers_are_in() -> None:
    said = run_every_frame([detected(i, LEFT, RIGHT) for i in range(5)], {0: "Ada", 1: None}, config("every-frame"))

    assert [message.frame.frame_id for message in said] == list(range(5))
    assert [[face.name for face in message.faces] for message in said] == [["Ada", None]] * 5


def test_answer_asked_for_twice_counts_once_and_releases_once() -> None:
    settings = config("every-frame")
    wanted: list[Wanted] = []

    def messages() -> Iterator[Message]:
        yield detected(0, LEFT)
        yield Tick()
        yield answer(wanted[0], "Ada")
        yield answer(wanted[1], "Ada")
        yield detected(1, LEFT)
        yield Ended(sender="detect")

    said = []
    for message in track(messages(), rings_for(settings), settings):
        if isinstance(message, Wanted):
            wanted.append(message)
        else:
            said.append(message)

    assert wanted[0] == wanted[1], "after a silence the question is asked again"
    assert [message.frame.frame_id for message in said] == [0, 1]


def test_name_does_not_survive_a_cut() -> None:
    frames = [detected(0, LEFT), detected(1, LEFT), detected(2, LEFT, cut=True)]

    said = run_every_frame(frames[:2], {0: "Ada", 1: None}, config("every-frame"))
    after = run_every_frame(frames, {0: "Ada", 1: None}, config("every-frame"))

    assert said[1].faces[0].track_id == 1
    assert after[2].faces[0].track_id == 2


def test_one_name_stands_once_in_a_picture() -> None:
    said = run_every_frame([detected(i, LEFT, RIGHT) for i in range(4)], {0: "Ada", 1: "Ada"}, config("every-frame"))

    for message in said:
        assert sorted(str(face.name) for face in message.faces) == ["Ada", "None"]
    holders = [next(face.track_id for face in message.faces if face.name) for message in said]
    assert len(set(holders)) == 1


def told(*answers: tuple[str | None, dict[str, object]]) -> list[Tracked]:
    """Frames of one face, a second apart, each asked about and answered so: name, and what else NamedFace tells."""
    settings = config("every-frame")
    due: list[Wanted] = []

    def messages() -> Iterator[Message]:
        for i, (name, more) in enumerate(answers):
            yield Detected(frame=frame_of(i, fps=1.0), faces=(face_at(LEFT),))
            (wanted,) = due
            due.clear()
            distance = 0.3 if name else 0.7
            face = NamedFace(1, name, 0.99 if name else 0.01, distance, "Ada", f"{name or 'Ada'}/1.jpg")
            yield Named(frame=wanted.frame, faces=(msgspec.structs.replace(face, **more),))

    said = []
    for message in track(messages(), rings_for(settings), settings):
        (due if isinstance(message, Wanted) else said).append(message)  # type: ignore[arg-type]
    return said  # type: ignore[return-value]


def test_face_that_moved_to_another_person_starts_its_votes_anew() -> None:
    said = told(*[("Ada", {})] * 4, ("Grace", {}), ("Grace", {"moved": True}))

    assert [message.faces[0].name for message in said] == ["Ada"] * 5 + ["Grace"]
    assert [(vote.name, vote.answers) for vote in said[-1].faces[0].votes] == [("Grace", 1)]


def test_face_that_moved_to_a_stranger_loses_its_name_at_once() -> None:
    said = told(*[("Ada", {})] * 4, (None, {}), (None, {"moved": True}))

    assert [message.faces[0].name for message in said] == ["Ada"] * 5 + [None]


def test_face_that_moved_but_got_its_own_name_again_only_turned() -> None:
    said = told(*[("Ada", {})] * 4, ("Ada", {"moved": True}), (None, {}))

    assert [message.faces[0].name for message in said] == ["Ada"] * 6
    assert said[-1].faces[0].votes[0].answers == 5


def test_look_without_quality_is_no_vote() -> None:
    said = told(("Ada", {"quality": 0.0}), ("Ada", {}), *[(None, {"quality": 0.0})] * 12)

    assert [message.faces[0].name for message in said] == [None] + ["Ada"] * 13


def test_track_tells_why_it_bears_its_name() -> None:
    first, second = told(("Ada", {}), (None, {"quality": 0.5}))

    assert [(vote.name, vote.answers, vote.photo, vote.distance) for vote in second.faces[0].votes] == [
        ("Ada", 1, "Ada/1.jpg", 0.3),
        (None, 1, "Ada/1.jpg", 0.7),
    ]
    assert second.faces[0].votes[1].log_odds <= 0.5
    assert second.faces[0].votes[0].log_odds < first.faces[0].votes[0].log_odds == 3.0


def test_cameras_do_not_share_tracks() -> None:
    frames = [detected(0, LEFT), detected(0, LEFT, camera="b"), detected(1, LEFT), detected(1, LEFT, camera="b")]

    said = run_every_frame(frames, {0: "Ada", 1: None}, config("every-frame", "a", "b"))

    assert [(message.frame.camera, message.faces[0].track_id) for message in said] == [("a", 1), ("b", 1)] * 2


def test_settled_track_is_asked_seldom() -> None:
    settings = config("every-frame")
    asked = []

    def messages() -> Iterator[Message]:
        for i in range(50):
            yield detected(i, LEFT)
            while asked and asked[-1] is not None and not isinstance(asked[-1], Named):
                asked[-1] = answer(asked[-1], "Ada")
                yield asked[-1]

    for message in track(messages(), rings_for(settings), settings):
        if isinstance(message, Wanted):
            asked.append(message)

    assert 2 <= len(asked) <= 6, "two seconds: at first to be sure, then once a second"


SLOW_FPS = 0.4


def live(*frames: Detected, names: dict[int, str | None]) -> list[Tracked]:
    """The live stage: the answer about each frame comes after the frame has gone out. By side: left 0, right 1."""
    settings = config("live")
    due: list[Wanted] = []

    def messages() -> Iterator[Message]:
        for frame in frames:
            yield frame
            for wanted in due:
                yield answer(wanted, *[names[0 if face.landmarks[0] < 500 else 1] for face in wanted.faces])
            due.clear()

    said = []
    for message in track(messages(), rings_for(settings), settings):
        (due if isinstance(message, Wanted) else said).append(message)  # type: ignore[arg-type]
    return said  # type: ignore[return-value]


def slow(frame_id: int, *xs: float, fps: float = SLOW_FPS, cut: bool = False) -> Detected:
    return Detected(frame=frame_of(frame_id, fps=fps), faces=tuple(face_at(x) for x in xs), cut=cut)


def shown(said: list[Tracked]) -> list[list[tuple[int, str, str | None]]]:
    return [[(face.track_id, face.state, face.name) for face in message.faces] for message in said]


@pytest.mark.parametrize("fps", [2.0, 0.4, 0.2])
def test_slow_camera_tells_a_name_with_the_next_frame_and_keeps_the_track(fps: float) -> None:
    said = live(*[slow(i, LEFT, fps=fps) for i in range(4)], names={0: "Ada"})

    assert shown(said) == [[(1, "confirmed", None)], *[[(1, "confirmed", "Ada")]] * 3]


def test_name_of_a_face_that_is_gone_is_told_with_the_next_frame() -> None:
    said = live(slow(0, LEFT), slow(1), names={0: "Ada"})

    assert shown(said)[1] == [(1, "lost", "Ada")]


@pytest.mark.parametrize("fps", [0.4, 1 / 60])
def test_name_of_a_scene_of_one_frame_is_told_with_the_next_scene(fps: float) -> None:
    scenes = slow(0, LEFT, fps=fps), slow(1, RIGHT, fps=fps, cut=True), slow(2, cut=True, fps=fps)

    said = live(*scenes, names={0: "Ada", 1: "Grace"})

    assert shown(said) == [
        [(1, "confirmed", None)],
        [(1, "lost", "Ada"), (2, "confirmed", None)],
        [(2, "lost", "Grace")],
    ]
    assert [vote.name for vote in said[1].faces[0].votes] == ["Ada"]
    assert said[1].faces[0].landmarks is None
    assert said[1].faces[0].age_s == pytest.approx(1 / fps)


def test_name_that_was_told_is_not_told_again_after_a_cut() -> None:
    said = live(slow(0, LEFT), slow(1, LEFT), slow(2, cut=True), slow(3), names={0: "Ada"})

    assert shown(said)[2:] == [[], []]


def test_stranger_of_a_scene_of_one_frame_is_not_told_again() -> None:
    said = live(slow(0, LEFT), slow(1, cut=True), names={0: None})

    assert shown(said)[1] == []


def test_video_tells_no_name_of_the_scene_before() -> None:
    said = live(slow(0, LEFT, fps=25), slow(1, RIGHT, fps=25, cut=True), names={0: "Ada", 1: None})

    assert shown(said)[1] == [(2, "confirmed", None)]


def test_stranger_at_the_desk_of_a_slow_camera_does_not_keep_the_name() -> None:
    names: dict[int, str | None] = {0: "Ada"}
    settings = config("every-frame")
    due: list[Wanted] = []

    def messages() -> Iterator[Message]:
        for i in range(30):
            yield slow(i, LEFT, fps=1 / 60)
            for wanted in due:
                yield answer(wanted, names[0] if i < 10 else None)
            due.clear()

    said: list[Tracked] = []
    for message in track(messages(), rings_for(settings), settings):
        (due if isinstance(message, Wanted) else said).append(message)  # type: ignore[arg-type]

    assert [message.faces[0].name for message in said[:10]] == ["Ada"] * 10
    assert said[-1].faces[0].name is None
    assert sum(message.faces[0].name == "Ada" for message in said[10:]) <= 12


def test_two_faces_that_are_gone_do_not_both_get_the_name() -> None:
    said = live(slow(0, LEFT, RIGHT), slow(1, cut=True), names={0: "Ada", 1: "Ada"})

    assert shown(said)[1] == [(1, "lost", "Ada")]


def watched(*, drift_left: float, drift_right: float, seconds: float = 6.0) -> list[Tracked]:
    """Two faces that are both named Ada at once; the right one comes a second later and moves a little."""
    settings = config("every-frame")
    due: list[Wanted] = []
    drifts = {0: drift_left, 1: drift_right}

    def messages() -> Iterator[Message]:
        for i in range(round(seconds * 25)):
            yield detected(i, LEFT, *([RIGHT + 3 * (i % 2)] if i > 25 else []))
            for wanted in due:
                named = answer(wanted, *["Ada"] * len(wanted.faces))
                sides = [drifts[0 if face.landmarks[0] < 500 else 1] for face in wanted.faces]
                faces = zip(named.faces, sides, strict=True)
                yield Named(
                    frame=named.frame,
                    faces=tuple(msgspec.structs.replace(face, drift=drift) for face, drift in faces),
                )
            due.clear()

    said = []
    for message in track(messages(), rings_for(settings), settings):
        (due if isinstance(message, Wanted) else said).append(message)  # type: ignore[arg-type]
    return said  # type: ignore[return-value]


@pytest.mark.parametrize(("drift_left", "drift_right", "last"), [(0.05, 0.2, [None, "Ada"]), (0.2, 0.2, ["Ada", None])])
def test_name_goes_from_a_still_face_to_a_living_one_and_stays_with_it(
    drift_left: float, drift_right: float, last: list[str | None]
) -> None:
    said = watched(drift_left=drift_left, drift_right=drift_right)

    names = [tuple(face.name for face in message.faces) for message in said]
    assert names[10] == ("Ada",)
    assert list(names[-1]) == last
    assert all(sum(name is not None for name in pair) == 1 for pair in names)
    assert sum(a != b for a, b in pairwise(names[30:])) <= 1, "it changes sides once"


def far_face(time_s: float, *, moves: bool) -> Face:
    """A face 50 px wide: too small for a good look. Its mouth moves, or not."""
    mouth = 93.0 + (6.0 if moves and round(time_s * 10) % 4 < 2 else 0.0)
    points = [(114.0, 81.0), (136.0, 81.0), (125.0, 88.0), (117.0, mouth), (133.0, mouth)]
    landmarks = tuple(value for point in points for value in point)
    return Face(box=(100.0, 60.0, 150.0, 120.0), score=0.999, landmarks=landmarks)  # type: ignore[arg-type]


@pytest.mark.parametrize(("moves", "doubtful"), [(False, True), (True, False)])
def test_face_that_never_moves_and_never_looks_good_is_told_as_doubtful(moves: bool, doubtful: bool) -> None:
    settings = config("live")
    frames = [Detected(frame=frame_of(i), faces=(far_face(i / 25, moves=moves),)) for i in range(100)]

    said = [message for message in track(iter(frames), rings_for(settings), settings) if isinstance(message, Tracked)]

    told = [message.faces[0].doubtful for message in said]
    assert not any(told[:75]), "three seconds must pass"
    assert told[-1] == doubtful


def test_large_face_that_never_moves_is_not_doubtful() -> None:
    settings = config("live")
    frames = [detected(i, LEFT) for i in range(100)]

    said = [message for message in track(iter(frames), rings_for(settings), settings) if isinstance(message, Tracked)]

    assert not any(message.faces[0].doubtful for message in said)


def test_who_comes_back_has_the_id_and_the_name_again_from_the_next_frame_on() -> None:
    settings = config("live")
    wanted: list[Wanted] = []

    def messages() -> Iterator[Message]:
        yield detected(0, LEFT)
        yield answer(wanted[0], "Ada")
        for frame_id in range(1, 10):
            yield detected(frame_id, LEFT)
        for frame_id in range(10, 100):  # four seconds
            yield detected(frame_id)
        yield detected(100, RIGHT)
        back = answer(wanted[-1], None)
        yield msgspec.structs.replace(back, faces=(msgspec.structs.replace(back.faces[0], returned=1),))
        yield detected(101, RIGHT)
        yield back  # an answer that was under way still says the new id
        yield detected(102, RIGHT)

    said = []
    for message in track(messages(), rings_for(settings), settings):
        if isinstance(message, Wanted):
            wanted.append(message)
        elif isinstance(message, Tracked):
            said.append(message)

    assert [(face.track_id, face.name) for face in said[100].faces] == [(2, None)]
    assert [(face.track_id, face.name) for message in said[101:] for face in message.faces] == [(1, "Ada")] * 2
    assert said[101].faces[0].age_s > 4.0


def test_return_is_in_the_next_frame_in_the_every_frame_pace_too() -> None:
    settings = config("every-frame")
    frames = [detected(0, LEFT), *(detected(i) for i in range(1, 100)), *(detected(i, RIGHT) for i in range(100, 104))]
    answers: list[Message] = []

    def messages() -> Iterator[Message]:
        for frame in frames:
            yield frame
            while answers:
                yield answers.pop(0)
        yield Ended(sender="detect")

    said = []
    for message in track(messages(), rings_for(settings), settings):
        if isinstance(message, Wanted):
            named = answer(message, *["Ada"] * len(message.faces))
            faces = [msgspec.structs.replace(f, returned=1 if f.track_id > 1 else None) for f in named.faces]
            answers.append(msgspec.structs.replace(named, faces=tuple(faces)))
        elif isinstance(message, Tracked):
            said.append([face.track_id for face in message.faces])

    assert said[0] == [1]
    assert said[100:] == [[2], [1], [1], [1]]


def test_track_that_a_stranger_takes_over_at_the_door_loses_its_name_until_it_is_known_whose_it_is() -> None:
    """Ada walks to the right; at once somebody comes from there."""
    settings = config("live")
    wanted: list[Wanted] = []
    said: list[Tracked] = []
    xs = [LEFT + 10.0 * step for step in range(40)] + [LEFT + 320.0, LEFT + 300.0, LEFT + 280.0]

    def messages() -> Iterator[Message]:
        for i, x in enumerate(xs):
            yield detected(i, x)
            if wanted and i < 40:
                named = answer(wanted.pop(), "Ada")
                yield msgspec.structs.replace(
                    named, faces=tuple(msgspec.structs.replace(face, same=True) for face in named.faces)
                )

    for message in track(messages(), rings_for(settings), settings):
        if isinstance(message, Wanted):
            wanted.append(message)
        elif isinstance(message, Tracked):
            said.append(message)

    assert {tuple(face.track_id for face in message.faces) for message in said} == {(1,)}
    assert [message.faces[0].name for message in said[39:]] == ["Ada", None, None, None]
    assert said[39].faces[0].sighting is not None
    assert said[40].faces[0].sighting is None
    assert [face.suspect for face in wanted[0].faces] == [True], "it is asked about at once"
