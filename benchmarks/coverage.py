"""coverage: how often the 95 % intervals of a model's scores hold the true value.

Draws test splits from a known distribution and scores each by the project's own code. The true value is the mean over
all draws: all three scores are unbiased.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from benchmarks import results
from study.base import runtime
from study.scoring import intervals, placements
from study.scoring.scores import point

SEED = 0
COLUMNS = ["logits", "images per class", "ROC-AUC", "ROC-AUC: closed form", "accuracy: Wilson", "log loss: t"]


@dataclass(frozen=True)
class Setting:
    """Test images whose logits are noise, with `skill` more for the image's own class."""

    name: str
    counts: list[int]  # images of each class
    skill: float
    noise: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    first_alone: bool = False  # whether the ROC-AUC is the first class's, not the macro average

    @property
    def labels(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def images(self) -> str:
        """Such as "500 + 9 × 5"."""
        runs = [(count, len(list(same))) for count, same in itertools.groupby(self.counts)]
        text = " + ".join(f"{times} × {count}" if times > 1 else str(count) for count, times in runs)
        return text + (", the first alone" if self.first_alone else "")

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Probabilities (N, C)."""
        logits = self.noise(rng, (sum(self.counts), len(self.counts)))
        logits[np.arange(len(logits)), self.labels] += self.skill
        return softmax(logits, axis=1)


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=shape)


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Student's t with three degrees of freedom: outliers among the logits."""
    return rng.standard_t(3, size=shape)


SETTINGS = [
    Setting("normal", [100] * 10, 2.01, normal),
    Setting("normal", [10] * 10, 3.555, normal),
    Setting("normal", [10] * 10, 2.8, normal),
    Setting("normal", [5] * 10, 2.01, normal),
    Setting("normal", [100] * 2, 1.5, normal),
    Setting("normal", [10] * 2, 1.5, normal),
    Setting("normal", [500, 10], 1.5, normal),
    Setting("normal", [500, 5], 1.5, normal),
    Setting("normal", [900, 50, 5], 2.01, normal),
    Setting("normal", [500] + [5] * 9, 2.01, normal),
    Setting("normal", [10] + [100] * 9, 2.01, normal, first_alone=True),
    Setting("normal", [5] + [100] * 9, 2.01, normal, first_alone=True),
    Setting("normal", [500, 2], 1.5, normal),
    Setting("normal", [900, 50, 2], 2.01, normal),
    Setting("normal", [500] + [2] * 9, 2.01, normal),
    Setting("normal", [2] + [100] * 9, 2.01, normal, first_alone=True),
    Setting("heavy tails", [100] * 10, 3.0, heavy),
    Setting("heavy tails", [5] * 10, 3.0, heavy),
    Setting("heavy tails", [500, 10], 2.0, heavy),
    Setting("heavy tails", [10] + [100] * 9, 3.0, heavy, first_alone=True),
]


def main() -> None:
    parser = results.parser("coverage", __doc__)
    results.add_number(parser, "--draws", 10_000, "test splits per setting")
    options = parser.parse_args()
    with results.page(options) as page:
        page.text("In brackets: intervals above the true value, and below it. –: no interval.")
        page.table(COLUMNS, (row(setting, options.draws) for setting in SETTINGS))


def row(setting: Setting, draws: int) -> list[str]:
    """The true ROC-AUC and the coverage of each interval."""
    rng = np.random.default_rng(SEED)
    labels = setting.labels
    values, lows, highs = (np.empty((draws, 3)) for _ in range(3))
    for draw in range(draws):
        probabilities = setting.draw(rng)
        values[draw], lows[draw], highs[draw] = scored(labels, probabilities, 0 if setting.first_alone else None)
    truth = values.mean(axis=0)
    shares = (coverage(lows[:, score], highs[:, score], truth[score]) for score in range(3))
    return [setting.name, setting.images, f"{truth[0]:.4f}", *shares]


def scored(
    labels: np.ndarray, probabilities: np.ndarray, label: int | None
) -> tuple[list[float], list[float], list[float]]:
    """ROC-AUC, of one class or macro, accuracy and log loss, their lower and their upper bounds."""
    values = point(labels, probabilities)
    missed = placements.one_minus_placements(labels, probabilities)
    shortfall = placements.shortfall(labels, missed)
    if label is not None:
        shortfall = placements.class_shortfalls(labels, missed)[:, label]
        values["roc_auc"] = 1 - missed[labels == label, label].mean()
    losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(float).eps))
    bounds = [
        intervals.of_roc_auc(values["roc_auc"], shortfall, labels, label) or (np.nan, np.nan),
        intervals.of_accuracy(probabilities.argmax(axis=1) == labels),
        intervals.of_log_loss(losses, labels),
    ]
    return [values[name] for name in ("roc_auc", "accuracy", "log_loss")], *map(list, zip(*bounds, strict=True))


def coverage(low: np.ndarray, high: np.ndarray, truth: float) -> str:
    if np.isnan(low).any():
        return "–"
    above, below = (low > truth).mean(), (high < truth).mean()
    return f"{results.percent(1 - above - below)} ({results.percent(above)}, {results.percent(below)})"


if __name__ == "__main__":
    runtime.run(main)
