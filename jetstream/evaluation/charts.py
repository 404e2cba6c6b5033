"""Charts: curves, a histogram and a video's timeline, each as an SVG.

Knows no HTML and no file. Colours are from Okabe and Ito's palette, which colour-blind readers can distinguish; lines
and hatches also differ in black and white print.
"""

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jetstream.evaluation.metrics import Figures, ProbeResult, curve
from jetstream.evaluation.video import TimedBox

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, VERMILION, GREY = "#0072B2", "#E69F00", "#D55E00", "#999999"
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",  # text uses the reader's fonts: small files, and names in every script
    "svg.hashsalt": "jetstream",  # the same figures give the same file
    "text.parse_math": False,  # a `$` in a name is a `$`
}


def roc(results: Sequence[ProbeResult], figures: Figures) -> str | None:
    """The ROC curve (open set): known faces named right over strangers named; None with too few of either."""
    accepted, right = curve(results)
    if not len(accepted):
        return None

    def plot(axes: "Axes") -> None:
        _steps(axes, accepted, 100 * right)
        own = figures.strangers_named.share or 0.0
        axes.plot(max(100 * own, axes.get_xlim()[0]), 100 * (figures.right.share or 0.0), "o", color=VERMILION)
        axes.annotate("the gallery's thresholds", (0.97, 0.06), xycoords="axes fraction", ha="right", color=VERMILION)
        axes.set_ylim(max(0.0, 10 * (100 * float(right.min()) // 10) - 10), 101)
        axes.set(title="ROC: the higher, and the further left, the better", ylabel="known faces right, %")

    return _svg(plot)


def det(results: Sequence[ProbeResult]) -> str | None:
    """The DET curve: known faces not named right over strangers named, on logarithmic axes; None with too few."""
    accepted, right = curve(results)
    if not len(accepted):
        return None
    known = sum(one.known for one in results)

    def plot(axes: "Axes") -> None:
        _steps(axes, accepted, 100 * np.maximum(1.0 - right, 0.5 / known))
        axes.set_yscale("log")
        _plain(axes, "y")
        axes.set(title="DET: the lower, and the further left, the better", ylabel="known faces missed or wrong, %")

    return _svg(plot)


def histogram(results: Sequence[ProbeResult]) -> str | None:
    """A histogram of the scores of known faces and of strangers; None without results."""
    if not results:
        return None
    scores = np.array([one.score for one in results])
    known = np.array([one.known for one in results])
    mistaken = np.array([one.known and one.nearest != one.person for one in results])
    low, high = float(scores.min()), float(scores.max())
    edges = np.linspace(min(low, 0.0), max(high, low + 1.0, 0.0), 41).tolist()
    kinds = (
        (known & ~mistaken, "known", BLUE, ""),
        (mistaken, "known, but another person is nearer", VERMILION, "xxx"),
        (~known, "strangers", ORANGE, "///"),
    )

    def plot(axes: "Axes") -> None:
        for chosen, label, colour, hatch in kinds:
            if chosen.any():
                weights = np.full(chosen.sum(), 100 / (chosen.sum() if label == "strangers" else known.sum()))
                axes.hist(
                    scores[chosen],
                    edges,
                    weights=weights,
                    label=label,
                    color=colour,
                    hatch=hatch,
                    alpha=0.6,
                    ec="black",
                    lw=0.4,
                )
        axes.axvline(0.0, color="black", ls="--", lw=1)
        axes.set(xlabel="score (log odds; a name is given right of the line)", ylabel="share of the group, %")
        axes.set_title("Scores: known faces should lie right of the line, strangers left")
        axes.legend(framealpha=1, edgecolor="none", loc="upper left", ncols=3)
        axes.set_ylim(top=1.15 * axes.get_ylim()[1])  # room for the legend

    return _svg(plot, width=9.6)


def timeline(boxes: Sequence[TimedBox]) -> str | None:
    """The boxes of each known person over time, by whether they showed the right name; None without boxes."""
    named = (box.judged.expected for box in boxes if box.known)
    names = list(dict.fromkeys(name for name in named if name is not None))[::-1]  # the first to appear is on top
    if not names:
        return None

    def plot(axes: "Axes") -> None:
        for shift, label, colour in ((0.22, "right", BLUE), (0.0, "unknown", GREY), (-0.22, "wrong", VERMILION)):
            of = [box for box in boxes if box.known and _showed(box) == label]
            rows = [names.index(str(box.judged.expected)) + shift for box in of]
            axes.plot([box.time_s for box in of], rows, "|", color=colour, ms=7, label=label)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="time in the video, s", ylim=(-0.6, len(names) - 0.4))
        axes.set_title("Names over time: blue should begin soon, and nothing be red")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1.08), ncols=3)

    return _svg(plot, width=9.6, height=1.4 + 0.45 * len(names))


def _showed(box: TimedBox) -> str:
    shown = box.judged.track.name
    return "unknown" if shown is None else "right" if shown == box.judged.expected else "wrong"


def _steps(
    axes: "Axes",
    accepted: NDArray[np.float64],
    share: NDArray[np.float64],
) -> None:
    """Draw a curve over the share of strangers named. A share of 0, which has no logarithm, is drawn as half of the
    smallest other share."""
    least = accepted[accepted > 0].min()
    axes.set_xscale("log")
    axes.step(100 * np.maximum(accepted, least / 2), share, where="post", color=BLUE, lw=1.8)
    axes.set_xlim(100 * least / 2, 100)
    for rate in (1.0, 0.1):
        axes.axvline(rate, color=GREY, ls=":", lw=1)
    _plain(axes, "x")
    axes.grid(alpha=0.3)
    axes.set_xlabel("strangers named, %")


def _plain(axes: "Axes", which: str) -> None:
    """Label an axis with 1 and 0.1 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _svg(plot: Callable[["Axes"], None], *, width: float = 4.7, height: float = 3.4) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it logs its search for fonts
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # the reader's fonts draw the names, not the font used for the layout here
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=(width, height), layout="constrained")
        plot(figure.add_subplot())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
