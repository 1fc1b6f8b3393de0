"""coverage: how often the 95 % intervals of a model's scores hold the true value.

Draws test splits from a known distribution and scores each by the project's own code. The true value is the mean over
all draws: all three scores are unbiased.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from benchmarks import bootstrap, results
from study.base import runtime
from study.scoring import intervals, placements
from study.scoring.scores import point

SEED = 0
REPLICATES = 400  # of each bootstrap
CONTRAST = 200  # draws that the bootstrap takes, too
COLUMNS = ["logits", "classes", "images", "ROC-AUC"]
COLUMNS += ["ROC-AUC: closed form", "ROC-AUC: bootstrap", "accuracy: Wilson", "log loss: t"]


@dataclass(frozen=True)
class Setting:
    """Test images whose logits are noise, with `skill` more for the image's own class."""

    name: str
    classes: int
    images: int
    skill: float
    noise: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Labels (N,) and probabilities (N, C)."""
        labels = np.arange(self.images) % self.classes
        logits = self.noise(rng, (self.images, self.classes))
        logits[np.arange(self.images), labels] += self.skill
        return labels, softmax(logits, axis=1)


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=shape)


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Student's t with three degrees of freedom: outliers among the logits."""
    return rng.standard_t(3, size=shape)


SETTINGS = [
    Setting("normal", 10, 1000, 2.01, normal),
    Setting("normal", 10, 98, 2.01, normal),
    Setting("normal", 10, 100, 3.555, normal),
    Setting("normal", 10, 100, 2.8, normal),
    Setting("normal", 10, 30, 2.01, normal),
    Setting("normal", 10, 20, 2.01, normal),
    Setting("normal", 2, 200, 1.5, normal),
    Setting("normal", 2, 20, 1.5, normal),
    Setting("heavy tails", 10, 1000, 3.0, heavy),
    Setting("heavy tails", 10, 100, 3.0, heavy),
    Setting("heavy tails", 10, 20, 3.0, heavy),
]


def main() -> None:
    parser = results.parser("coverage", __doc__)
    results.add_number(parser, "--draws", 10_000, "test splits per setting")
    options = parser.parse_args()
    with results.page(options) as page:
        page.text("In brackets: intervals above the true value, and below it.")
        page.table(COLUMNS, (row(setting, options.draws) for setting in SETTINGS))


def row(setting: Setting, draws: int) -> list[str]:
    """The true ROC-AUC and the coverage of each interval."""
    rng = np.random.default_rng(SEED)
    values, lows, highs = (np.empty((draws, 3)) for _ in range(3))
    boots = []
    for draw in range(draws):
        labels, probabilities = setting.draw(rng)
        values[draw], lows[draw], highs[draw] = scored(labels, probabilities)
        if draw < CONTRAST:
            boots.append(bootstrap.interval(bootstrap.bootstrap(labels, probabilities, REPLICATES, seed=draw)))
    truth = values.mean(axis=0)
    area, accuracy, loss = (coverage(lows[:, score], highs[:, score], truth[score]) for score in range(3))
    contrast = coverage(*np.transpose(boots), truth[0])
    setting_cells = [setting.name, setting.classes, f"{setting.images:,}", f"{truth[0]:.4f}"]
    return [*setting_cells, area, contrast, accuracy, loss]


def scored(labels: np.ndarray, probabilities: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """ROC-AUC, accuracy and log loss, their lower and their upper bounds."""
    values = point(labels, probabilities)
    shortfall = placements.shortfall(labels, placements.one_minus_placements(labels, probabilities))
    losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(float).eps))
    bounds = [
        intervals.of_roc_auc(values["roc_auc"], shortfall, labels),
        intervals.of_accuracy(probabilities.argmax(axis=1) == labels),
        intervals.of_log_loss(losses, labels),
    ]
    return [values[name] for name in ("roc_auc", "accuracy", "log_loss")], *map(list, zip(*bounds, strict=True))


def coverage(low: np.ndarray, high: np.ndarray, truth: float) -> str:
    above, below = (low > truth).mean(), (high < truth).mean()
    return f"{results.percent(1 - above - below)} ({results.percent(above)}, {results.percent(below)})"


if __name__ == "__main__":
    runtime.run(main)
