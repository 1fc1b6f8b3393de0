"""verdicts: how often "better" and "worse" are false, and how many repeats show a true gain.

Simulates tables of seven models of equal skill, each trained several times and scored by the project's own code: the
models of one run against each other, and two revisions of each model. An image's logits are noise of four parts: of the
image, of image and model, of image and training run, and the skill of the training run, which its seed draws. `make
verify` is simulated by ROC-AUC alone, since its limits are passed too seldom for so few tables.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import softmax, stdtr

from benchmarks import results
from benchmarks.results import percent
from study.base import runtime
from study.evaluation import seeds
from study.report import differences
from study.report.differences import Answer
from study.report.seed_noise import Training, seed_noise
from study.scoring import intervals, placements

SEED = 0
CLASSES, IMAGES = 10, 1000
LABELS = np.arange(IMAGES) % CLASSES
SKILL = 1.6  # a ROC-AUC of 0.90
SHARES = {"image": 0.4, "model": 0.25, "training": 0.35}  # of the variance of a logit
MODELS = [f"model{number}" for number in range(7)]
PAIRS = list(itertools.combinations(range(len(MODELS)), 2))
RECORDED = [0.12, 0.39, 0.15, 1.83]  # of the four models that the default run repeats
RATIOS = {  # standard deviation of the seeds over the standard deviation of sampling, of each model
    "0.1": np.full(len(MODELS), 0.1),
    "0.4": np.full(len(MODELS), 0.4),
    "1.1": np.full(len(MODELS), 1.1),
    "1.8": np.full(len(MODELS), 1.8),
    "0.1 to 1.8": np.array([*RECORDED, *RECORDED[:0:-1]]),
}
# Of true gains, in standard deviations of the seeds.
GAIN_RATIOS, GAINS, GAIN_REPEATS = ("0.4", "1.1", "1.8"), (1, 2, 3), (3, 5, 10)
LEAST = 4  # tables

# Of `make verify`: its limits, and standard deviations of the seeds of four models of one family, three repeats each.
FAR, UNLIKELY = 6, 0.001  # standard deviations, and the adjusted p value
VERIFIED, REPEATS = 200_000, 3  # pairs of runs
SAMPLING, SAMPLING_DEGREES = 1e-6, 900  # variance of a difference of two means: of cnn3_plateau, with other rounding
PART = 6e-7  # what finitely many images add to the raw variance of repeats
DEVIATIONS = {
    "equal": (0.0033, 0.0033, 0.0033, 0.0033),
    "one is twice the others": (0.002, 0.002, 0.002, 0.004),
    "as measured, one from 24 training runs": (0.0005, 0.0014, 0.0005, 0.0043),
    "as measured, from 3": (0.0005, 0.0014, 0.0005, 0.0065),
    "only one is above 0": (0.0, 0.0, 0.0, 0.0065),
}


@dataclass(frozen=True)
class Layout:
    """The family of each model, how often it was trained, and whose block it tunes, if any."""

    families: list[str]
    repeats: list[int]
    bases: list[str | None]


def everywhere(repeats: int) -> Layout:
    return Layout(["cnn"] * len(MODELS), [repeats] * len(MODELS), [None] * len(MODELS))


LAYOUTS = {
    "3 repeats": everywhere(3),
    "2 repeats, one family": everywhere(2),
    "the default: four with 3 repeats, three that borrow": Layout(
        ["cnn"] * 4 + ["resnet"] * 2 + ["cnn"], [3] * 4 + [1] * 3, [None] * 6 + [MODELS[0]]
    ),
}
REVISIONS = {
    "two revisions, 3 repeats each": everywhere(3),
    "two revisions, 2 repeats each, one family": everywhere(2),
}


@dataclass(frozen=True)
class Table:
    """Seven models, each trained R times, on one draw of N images."""

    areas: np.ndarray  # (7, R)
    shortfalls: np.ndarray  # (7, R, N)
    true_areas: np.ndarray  # (7,), of the first training runs on all images that might be drawn, but for a constant


@dataclass(frozen=True)
class Repeated:
    """A model of one run: the means over its repeats."""

    training: Training
    area: float
    shortfall: np.ndarray  # (N,)


def main() -> None:
    parser = results.parser("verdicts", __doc__)
    results.add_number(parser, "--draws", 300, "tables of seven models", least=LEAST)
    options = parser.parse_args()
    with results.page(options) as page:
        page.text("Shares of false verdicts among models of equal skill: 21 pairs of a run, 7 models of two revisions.")
        columns = ["seeds / sampling", "models", "rule", "false, alone", "tables with one", "under Holm"]
        page.table(columns, itertools.chain.from_iterable(false_verdicts(name, options.draws) for name in RATIOS))
        page.text("Intervals of the first question that hold the true difference of the two models.")
        page.table(["seeds / sampling", "held"], ([name, held(name, options.draws)] for name in RATIOS))
        page.text("Tables in which a true gain of one model is shown.")
        columns = ["seeds / sampling", "true gain, seed sd", "repeats", "shown, alone", "of 21, under Holm"]
        draws = options.draws // 2
        page.table(columns, itertools.chain.from_iterable(true_gains(name, draws) for name in GAIN_RATIOS))
        page.text("`make verify` of unchanged code: runs in which one of four models passes a limit.")
        far, unlikely = f"more than {FAR} sd", f"p < {UNLIKELY}, Holm"
        page.table(["sd of the seeds", far, unlikely, "both", "p < 0.05, Holm"], map(verified, DEVIATIONS))


def false_verdicts(ratio: str, count: int) -> Iterator[list[str]]:
    """Shares of false verdicts: alone, in a table of 21 pairs or 7 models, and in such a table under Holm."""
    tables = list(simulated(count, 2 * REPEATS, RATIOS[ratio]))
    question = "would it hold if retrained"
    p_values = {("once each", "sampling error alone"): [[answer.p for answer in shipped(table)] for table in tables]}
    p_values |= {(name, question): [retrained_p(own, table) for table in tables] for name, own in LAYOUTS.items()}
    p_values |= {(name, question): [revisions_p(own, table) for table in tables] for name, own in REVISIONS.items()}
    for names, values in p_values.items():
        p = np.array(values)
        is_false, adjusted = p < intervals.LEVEL, np.array([differences.holm(row) for row in p])
        shares = is_false.mean(), is_false.any(axis=1).mean(), (adjusted < intervals.LEVEL).any(axis=1).mean()
        yield [ratio, *names, *map(percent, shares)]


def held(ratio: str, count: int) -> str:
    """The share of intervals of the first question that hold the true difference of the two training runs."""
    is_held = []
    for table in simulated(count, 1, RATIOS[ratio]):
        true = [table.true_areas[one] - table.true_areas[other] for one, other in PAIRS]
        is_held += [each.low <= value <= each.high for value, each in zip(true, shipped(table), strict=True)]
    return percent(np.mean(is_held))


def true_gains(ratio: str, count: int) -> Iterator[list[str]]:
    """Shares of tables in which a pair is told apart whose first model gains so much over all others."""
    tables = list(simulated(count, max(GAIN_REPEATS), RATIOS[ratio]))
    seed_deviation = RATIOS[ratio][0] * sampling_deviation()
    for gain, repeats in itertools.product(GAINS, GAIN_REPEATS):
        gains = np.array([gain * seed_deviation * (one == 0) for one, _ in PAIRS])
        p = np.array([retrained_p(everywhere(repeats), table, gains) for table in tables])
        adjusted = np.array([differences.holm(row) for row in p])
        shown = [(values[:, gains > 0] < intervals.LEVEL).mean() for values in (p, adjusted)]
        yield [ratio, gain, repeats, *map(percent, shown)]


def verified(name: str) -> list[str]:
    """Shares of pairs of runs in which nothing changed and a model is beyond a limit."""
    distance, p = distances(np.array(DEVIATIONS[name]))
    far, unlikely = distance > FAR, len(MODELS) * p < UNLIKELY  # Holm multiplies the smallest of all models' p values
    limits = far, unlikely, far & unlikely, len(MODELS) * p < intervals.LEVEL
    return [name, *(percent(beyond.any(axis=1).mean(), 2) for beyond in limits)]


def noise(rng: np.random.Generator, kind: str, *models: int) -> np.ndarray:
    """Logits (..., N, C) of one kind; as float32, which is faster to draw."""
    return rng.standard_normal((*models, IMAGES, CLASSES), np.float32) * np.float32(np.sqrt(SHARES[kind]))


def scored(logits: np.ndarray) -> tuple[float, np.ndarray]:
    """ROC-AUC and shortfalls (N,)."""
    missed = placements.one_minus_placements(LABELS, softmax(logits, axis=1))
    own = missed[np.arange(IMAGES), LABELS]
    return 1 - own.mean(), placements.shortfall(LABELS, missed)  # classes of equal size


@cache
def sampling_deviation() -> float:
    """Standard deviation of a ROC-AUC over draws of images."""
    return float(np.sqrt(np.mean([intervals.sampling(shortfall, LABELS).variance for _, shortfall in at(SKILL)])))


@cache
def slope() -> float:
    """What a ROC-AUC gains per unit of skill."""
    low, high = (np.mean([area for area, _ in at(skill)]) for skill in (SKILL - 0.1, SKILL + 0.1))
    return float(high - low) / 0.2


def at(skill: float, draws: int = 200) -> Iterator[tuple[float, np.ndarray]]:
    """Areas and shortfalls of models of this skill, on images that are the same for each skill."""
    rng = np.random.default_rng(SEED)
    for _ in range(draws):
        logits = sum(noise(rng, kind) for kind in SHARES)
        logits[np.arange(IMAGES), LABELS] += skill
        yield scored(logits)


def simulated(count: int, repeats: int, ratio: np.ndarray) -> Iterator[Table]:
    """Tables of models whose seeds have `ratio` (7,) times the standard deviation of sampling."""
    rng, gain = np.random.default_rng(SEED), slope()
    deviation = (ratio * sampling_deviation() / gain)[:, None]
    for _ in range(count):
        skills = rng.normal(SKILL, deviation, (len(MODELS), repeats))
        of_image = noise(rng, "image")
        areas, shortfalls = np.empty(skills.shape), np.empty((*skills.shape, IMAGES), np.float32)
        for model in range(len(MODELS)):
            of_model = of_image + noise(rng, "model")
            for repeat in range(repeats):
                logits = of_model + noise(rng, "training")
                logits[np.arange(IMAGES), LABELS] += skills[model, repeat]
                areas[model, repeat], shortfalls[model, repeat] = scored(logits)
        yield Table(areas, shortfalls, gain * skills[:, 0])


def shipped(table: Table) -> list[Answer]:
    """Answers to the first question for the first training run of each model, by pair."""
    areas, shortfalls = table.areas[:, 0], table.shortfalls[:, 0]
    return [
        differences.shipped(areas[one] - areas[other], shortfalls[other] - shortfalls[one], LABELS)
        for one, other in PAIRS
    ]


def retrained_p(layout: Layout, table: Table, gains: np.ndarray | float = 0.0) -> list[float]:
    """p values of the second question, by pair; `gains` are added to the differences."""
    models, gains = repeated(layout, table), np.broadcast_to(gains, len(PAIRS))
    pairs = zip(PAIRS, gains, strict=True)
    return [retrained(models[one], models[other], LABELS, gain=gain).p for (one, other), gain in pairs]


def revisions_p(layout: Layout, table: Table) -> list[float]:
    """p values of the second question, by model, of its first training runs and of as many others."""
    before, after = repeated(layout, table), repeated(layout, table, max(layout.repeats))
    return [retrained(*pair, LABELS, same_trainings=False).p for pair in zip(after, before, strict=True)]


def repeated(layout: Layout, table: Table, first: int = 0) -> list[Repeated]:
    """The models of one run, which has the training runs of the table from `first` on."""
    of_model = {
        name: (table.areas[model, first : first + repeats], table.shortfalls[model, first : first + repeats])
        for model, (name, repeats) in enumerate(zip(MODELS, layout.repeats, strict=True))
    }
    bases = dict(zip(MODELS, layout.bases, strict=True))
    return of_run(of_model, dict(zip(MODELS, layout.families, strict=True)), LABELS, bases)


def of_run(
    of_model: Mapping[str, tuple[np.ndarray, np.ndarray]],
    families: Mapping[str, str],
    labels: np.ndarray,
    bases: Mapping[str, str | None],
) -> list[Repeated]:
    """The models of one run, each from the areas (R,) and the shortfalls (R, N) of its repeats."""
    spreads = {name: seeds.spread(*own, labels) if len(own[0]) > 1 else None for name, own in of_model.items()}
    return [
        Repeated(
            Training(len(areas), seed_noise(name, families, spreads, bases[name])),
            areas.mean(),
            shortfalls.mean(axis=0),
        )
        for name, (areas, shortfalls) in of_model.items()
    ]


def retrained(
    one: Repeated, other: Repeated, labels: np.ndarray, same_trainings: bool = True, gain: float = 0.0
) -> Answer:
    """The answer to the second question, of a difference to which `gain` is added."""
    value, contributions = one.area - other.area + gain, other.shortfall - one.shortfall
    return differences.retrained(value, contributions, labels, one.training, other.training, same_trainings)


def distances(deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs of runs: how far apart each model is, in estimated standard deviations, and its p value.

    Each run estimates the noise of each model from its own repeats, as `study.evaluation.seeds` does.
    """
    rng, own = np.random.default_rng(SEED), REPEATS - 1
    raw = (deviations**2 + PART) * rng.chisquare(own, (2, VERIFIED, len(deviations))) / own
    kept = np.where(raw > PART, 1 - PART / raw, 1.0)
    of_means, degrees = raw * kept / REPEATS, own * kept**2
    total = SAMPLING + of_means.sum(axis=0)
    error = SAMPLING**2 / SAMPLING_DEGREES + (of_means**2 / degrees).sum(axis=0)
    true = SAMPLING + 2 * deviations**2 / REPEATS
    distance = np.abs(rng.normal(size=total.shape)) * np.sqrt(true / total)
    return distance, 2 * stdtr(total**2 / error, -distance)


if __name__ == "__main__":
    runtime.run(main)
