"""How near sightings of strangers must be for one group, in terms of how rarely two people are as near.

Knows no embedding and no group. Constants were chosen on half of the people of five sets, clean and made worse
(`benchmarks/bench_strangers.py`); rarities are minus the logarithm of a share of pairs, the same for every network.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PAIR_RATE: Final = 2e-4
"""Of pairs of two people with a sighting each, at most this share is near enough for one group."""
# A newcomer is compared with every group. So the share shrinks with their number: a newcomer joins one of groups with a
# sighting each in this share of cases at most. The strictest with which no recall was lost.
NEWCOMER_RATE: Final = 0.003
# The share grows with a group's sightings, up to so many: who came often is likelier to come again. At 20 a few more
# masked and blurred looks went wrong.
FREQUENT: Final = 10
# Two well-known groups must be this much rarer than two single sightings, as a logarithm: 30 times. With 10 to 300 the
# recall differed by 1 % with dlib's network and not at all with SFace.
STRICTER: Final = math.log(30)
# A group is parted where its parts are this much less rare than a merger would need: 3 times, so that the next change
# doesn't merge them again.
PARTED: Final = math.log(3)
# A sighting moves to a group that is e-fold rarer than its own. At 0.5 some moved wrongly.
MOVED: Final = 1.0


def needed_rarity(pair_rate: float, groups: int, count: int, others: NDArray[Any]) -> NDArray[np.float64]:
    """(G,) the least rarity of the middles of `count` and of (G,) `others` sightings, at least 1, that are one group.

    pair_rate  the share for two single sightings where `groups`, the number of groups there are, is small
    """
    fewer, more = np.minimum(count, others), np.maximum(count, others)
    often = np.where(fewer == 1, np.log(np.minimum(more, FREQUENT)), 0.0)
    base = -math.log(min(pair_rate, NEWCOMER_RATE / max(1, groups)))
    return np.asarray(base - often + STRICTER * (1 - 1 / fewer), np.float64)
