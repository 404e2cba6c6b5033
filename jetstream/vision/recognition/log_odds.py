"""Probabilities and their log odds."""

import math


def logistic(log_odds: float) -> float:
    """1 / (1 + exp(-log_odds)), for any log odds."""
    return 0.5 * (1.0 + math.tanh(0.5 * log_odds))


def log_odds(probability: float) -> float:
    """log(p / (1 - p)), with p limited to 1e-9..1 - 1e-9; NaN counts as 1e-9."""
    inside = min(max(1e-9, probability), 1.0 - 1e-9)  # in this order NaN becomes 1e-9
    return math.log(inside / (1.0 - inside))
