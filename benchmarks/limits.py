"""limits: how often would `make verify` fail although nothing changed?

Simulates pairs of runs of four models, three repeats each, by their areas alone: the seeds' standard deviations are
given, each model's noise is estimated from its own repeats in each run, and the second question is asked of each model.
Prints a Markdown table: the share of runs in which one of the models passes a limit.
"""

import numpy as np
from scipy.special import stdtr

from study.base import runtime

RUNS = 200_000
REPEATS = 3
MODELS = 7  # in the table, by which Holm multiplies the smallest p value
DRAW = 1e-6  # variance that the draw of images gives a difference of two means: of cnn3_plateau, with other rounding
IMAGES = 900  # its degrees of freedom
PART = 6e-7  # what finitely many images add to the raw variance of repeats
SEEDS = {
    "equal": (0.0033, 0.0033, 0.0033, 0.0033),
    "one has twice the others'": (0.002, 0.002, 0.002, 0.004),
    "as measured, one from 24 trainings": (0.0005, 0.0014, 0.0005, 0.0043),
    "as measured, from 3": (0.0005, 0.0014, 0.0005, 0.0065),
    "one alone has any": (0.0, 0.0, 0.0, 0.0065),
}


def main() -> None:
    print("| standard deviations of the seeds | more than 6 sd | p < 0.001, Holm | both | p < 0.05, Holm |")
    print("|---|---|---|---|---|")
    for name, deviations in SEEDS.items():
        distance, p = simulated(np.array(deviations), RUNS)
        far, unlikely = distance > 6, MODELS * p < 0.001
        shares = [each.any(axis=1).mean() for each in (far, unlikely, far & unlikely, MODELS * p < 0.05)]
        print(f"| {name} | " + " | ".join(f"{100 * share:.2f} %" for share in shares) + " |")


def simulated(deviations: np.ndarray, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Of `runs` pairs of runs: how far apart each model is, in estimated standard deviations, and its p value."""
    rng = np.random.default_rng(0)
    both = [noise(deviations, runs, rng) for _ in range(2)]
    total = DRAW + sum(variance for variance, _ in both) / REPEATS
    error = DRAW**2 / IMAGES + sum((variance / REPEATS) ** 2 / degrees for variance, degrees in both)
    true = DRAW + 2 * deviations**2 / REPEATS
    distance = np.abs(rng.normal(size=(runs, len(deviations)))) * np.sqrt(true / total)
    return distance, 2 * stdtr(total**2 / error, -distance)


def noise(deviations: np.ndarray, runs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The noise of each model as `study.evaluation.seeds` has it, and its degrees of freedom, in each run."""
    own = REPEATS - 1
    raw = (deviations**2 + PART) * rng.chisquare(own, (runs, len(deviations))) / own
    kept = np.where(raw > PART, 1 - PART / raw, 1.0)
    return raw * kept, own * kept**2


if __name__ == "__main__":
    runtime.run(main)
