"""Who a track is: a vote over many answers of recognition, some of which are wrong.

Knows no face, no gallery and no clock: answers with a confidence come in, one shown name comes out.
"""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Final, NamedTuple

from jetstream.vision.recognition.log_odds import log_odds, logistic

# Largest weight of one answer, in log odds. A refusal has less than a name: at most one picture in twenty of a stranger
# gets a name (log 1 / 0.05 = 3.0), but one in five of a known person is refused, because the head is turned or the
# picture blurred (log 1 / 0.2 = 1.6), and a turned head is refused many times in a row, so each counts less still.
MOST_FOR_A_NAME: Final = 3.0
MOST_FOR_UNKNOWN: Final = 1.0
# Lead, in log odds, at which a candidate replaces what is shown: a first answer of confidence 0.73 names a track. An
# answer is of all looks of its track: with 2.0, 1 to 4 % fewer of such tracks are right, and as many strangers' named.
MARGIN: Final = 1.0
# Lead at which one more answer can't change what is shown: it adds 3.0 to another and may replace an answer of 3.0.
SETTLED: Final = 5.5


class Candidate(NamedTuple):
    """A person whom a track may show, and why."""

    name: str | None  # None: nobody known
    log_odds: float  # sum over the answers for this candidate, decayed to now
    answers: int
    photo: str | None  # nearest photo of the answer with the least distance
    distance: float  # of that answer; inf where no answer has one


class _TimedAnswer(NamedTuple):
    """Ordered by all fields, so that the order of answers of one time doesn't depend on how they arrived."""

    time_s: float
    gain: float  # log odds
    known: bool
    name: str  # "" where not known
    distance: float
    photo: str  # "" where there is none

    @property
    def candidate(self) -> str | None:
        return self.name if self.known else None


class _Reason(NamedTuple):
    """The last fields of a Candidate: what doesn't change with time."""

    answers: int
    photo: str | None
    distance: float


class Votes:
    """The rolling vote of one track.

    Each answer adds its log-likelihood ratio, log(c / (1 - c)) for confidence c, to its candidate; unknown is a
    candidate like any other. An answer decays to half in `half_life_s`, and only the newest `answers` count. What is
    shown changes when another candidate leads it by `MARGIN`, not before. It follows that

    - answers that arrive between two frames count together, in any order;
    - one answer of confidence 0.73 or more names a new track at once, a weaker one doesn't;
    - once settled, no single answer changes what is shown;
    - a wrong name is replaced after `answers` // 2 + 1 answers for another that are as strong as those that made it
      (0.75 or more), and at the latest after `answers` of any strength that add up to `MARGIN`: the old ones are then
      outside the window;
    - time alone changes nothing, because all candidates decay alike.

    `half_life_s` may change at any time: a slow camera has few answers in the time that is right for video.
    """

    def __init__(self, *, half_life_s: float, answers: int = 12) -> None:
        self.half_life_s = half_life_s
        self._most = answers
        self._answers: list[_TimedAnswer] = []
        self._shown: str | None = None
        self._now_s = -math.inf
        self._scored: tuple[float, float, dict[str | None, float]] | None = None  # time, half-life: of these answers
        self._reasons: dict[str | None, _Reason] | None = None  # of these answers

    @property
    def settled(self) -> bool:
        """Whether what was last shown leads by so much that no single answer can change it, at the latest time.

        False while the newest answer names somebody else: the track may have switched to another face.
        """
        if not self._answers or self._lead(self._scores()) < SETTLED:
            return False
        return self._answers[-1].candidate in (None, self._shown)

    def add(
        self,
        name: str | None,
        confidence: float,
        time_s: float,
        weight: float = 1.0,
        *,
        photo: str | None = None,
        distance: float = math.inf,
    ) -> None:
        """Add an answer.

        name        None: nobody known
        confidence  0..1, the probability that the answer is right; up to 0.5 it is ignored
        time_s      of the frame; may be a little older than the latest
        weight      0..1, quality of the sample. It scales refusals only, and at 0 they are ignored: a poor sample of a
                    known person is refused for being poor, but hardly ever named wrongly for it
        photo       the nearest photo, for `candidates`
        distance    embedding distance, for `candidates`

        Any number is accepted: a NaN as confidence or weight means that the answer is ignored, a time that isn't finite
        is the latest time.
        """
        self._advance(time_s)
        when_s = time_s if math.isfinite(time_s) else self._now_s
        gain = _gain(name, confidence)
        if name is None:
            gain *= min(max(0.0, weight), 1.0)
        if not (gain > 0.0 and math.isfinite(weight) and math.isfinite(when_s)):
            return
        far = distance if distance >= 0.0 else math.inf  # NaN has no place in an order
        answer = _TimedAnswer(when_s, gain, name is not None, name or "", far, photo or "")
        self._take(sorted([*self._answers, answer])[-self._most :])

    def restart(self) -> None:
        """Forget all answers and show unknown until the next ones, because the track shows another person now."""
        self._take([])
        self._shown = None

    def name(self, time_s: float) -> tuple[str | None, float]:
        """The name to show at `time_s` (None: unknown), and its confidence against the next likely candidate, 0..1.

        The confidence is 0 before the first answer, and below 0.5 while another candidate leads by less than `MARGIN`.
        """
        self._advance(time_s)
        scores = self._scores()
        if scores:
            # Ties are broken by name, so that the result depends on the answers alone.
            best = min(scores, key=lambda name: (-scores[name], name or "")) if len(scores) > 1 else next(iter(scores))
            if scores[best] - scores.get(self._shown, 0.0) >= MARGIN:
                self._shown = best
        return self._shown, logistic(self._lead(scores)) if self._answers else 0.0

    @property
    def shown(self) -> str | None:
        """The name that was last shown."""
        return self._shown

    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates of the answers that count, at the latest time, the likeliest first; at most `answers`."""
        if self._reasons is None:
            self._reasons = _reasons(self._answers)
        scores, reasons = self._scores(), self._reasons
        if len(reasons) == 1:
            return tuple(Candidate(name, scores[name], *reason) for name, reason in reasons.items())
        return tuple(
            Candidate(name, scores[name], *reasons[name])
            for name in sorted(reasons, key=lambda name: (-scores[name], name or ""))
        )

    def _take(self, answers: list[_TimedAnswer]) -> None:
        self._answers = answers
        self._scored = self._reasons = None

    def _advance(self, time_s: float) -> None:
        """A step back by more than a half-life means that the clock was reset, a smaller one a late answer."""
        if not math.isfinite(time_s):
            return
        if time_s < self._now_s - self.half_life_s:
            back_s = self._now_s - time_s
            self._take([answer._replace(time_s=answer.time_s - back_s) for answer in self._answers])
            self._now_s = time_s
        self._now_s = max(self._now_s, time_s)

    def _scores(self) -> Mapping[str | None, float]:
        """Log odds of each candidate, decayed to now; asked for several times a frame."""
        now_s, half_life_s = self._now_s, self.half_life_s
        if self._scored is not None and self._scored[:2] == (now_s, half_life_s):
            return self._scored[2]
        scores: dict[str | None, float] = {}
        for time_s, gain, known, name, _, _ in self._answers:
            # After a step back, rounding may leave an answer slightly in the future.
            faded = gain * 0.5 ** ((now_s - time_s) / half_life_s) if time_s < now_s else gain
            candidate = name if known else None
            scores[candidate] = scores.get(candidate, 0.0) + faded
        self._scored = now_s, half_life_s, scores
        return scores

    def _lead(self, scores: Mapping[str | None, float]) -> float:
        """Log odds of what is shown less those of the best other candidate."""
        shown = scores.get(self._shown, 0.0)
        if len(scores) == 1 and self._shown in scores:
            return shown
        return shown - max((score for name, score in scores.items() if name != self._shown), default=0.0)


def _reasons(answers: Sequence[_TimedAnswer]) -> dict[str | None, _Reason]:
    found: dict[str | None, list[_TimedAnswer]] = {}
    for answer in answers:
        found.setdefault(answer.candidate, []).append(answer)
    best = {name: min(theirs, key=lambda answer: (answer.distance, answer.photo)) for name, theirs in found.items()}
    return {name: _Reason(len(found[name]), one.photo or None, one.distance) for name, one in best.items()}


def unique(
    names: Sequence[tuple[int, str | None, float]],
    *,
    held: Mapping[str, int] | None = None,
    lost: Container[int] = (),
    pictures: Container[int] = (),
) -> list[tuple[int, str | None, float]]:
    """The same (track_id, name, confidence) in the same order, with each name for one track only; others are unknown.

    The track of the highest confidence keeps the name, of equals the oldest.

    held      the track of each name in the frame before, which loses it only to one whose log odds are larger by
              `MARGIN`
    lost      tracks that yield to every other, so that somebody who comes back as a new track is named before the old
              track is deleted
    pictures  tracks that yield to every other, even to a lost one, so that a poster doesn't get the name of somebody
              who turns away for a moment
    """
    claimed = [name for _, name, _ in names if name is not None]
    if len(set(claimed)) == len(claimed):
        return list(names)
    keepers: dict[str, tuple[bool, bool, float, int]] = {}
    for track_id, name, confidence in names:
        if name is not None:
            bonus = MARGIN if held is not None and held.get(name) == track_id else 0.0
            strength = (track_id not in pictures, track_id not in lost, log_odds(confidence) + bonus, -track_id)
            keepers[name] = max(keepers.get(name, strength), strength)
    return [
        (track_id, name, confidence) if name is None or keepers[name][3] == -track_id else (track_id, None, 0.0)
        for track_id, name, confidence in names
    ]


def _gain(name: str | None, confidence: float) -> float:
    """Log odds of an answer, capped; 0 for one that is ignored, and for NaN."""
    if not confidence > 0.5:
        return 0.0
    return min(log_odds(confidence), MOST_FOR_UNKNOWN if name is None else MOST_FOR_A_NAME)
