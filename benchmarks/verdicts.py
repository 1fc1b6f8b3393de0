"""verdicts: how often "better" and "worse" are false, and how many repeats show a true gain.

Simulates tables of seven models of equal skill, each trained several times and scored by the project's own code: the
models of one run against each other, and two revisions of each model. An image's logits are noise of four parts: of the
image, of image and model, of image and training, and the skill of the training, which its seed draws. Prints the
Markdown tables of docs/numbers.md.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import softmax

from study.base import runtime
from study.base.runtime import UserError
from study.evaluation import seeds
from study.report import differences
from study.report.differences import Answer
from study.report.seed_noise import Training, seed_noise
from study.scoring import intervals, placements

SEED = 0
CLASSES, IMAGES = 10, 1000
SKILL = 1.6  # a ROC-AUC of 0.90
SHARES = {"image": 0.4, "model": 0.25, "training": 0.35}  # of the variance of a logit
MODELS = [f"model{number}" for number in range(7)]
RECORDED = [0.12, 0.39, 0.15, 1.83]  # of the four models that the default run repeats
RATIOS = {  # standard deviation of seeds over that of sampling, of each model
    "0.1": np.full(len(MODELS), 0.1),
    "0.4": np.full(len(MODELS), 0.4),
    "1.1": np.full(len(MODELS), 1.1),
    "1.8": np.full(len(MODELS), 1.8),
    "0.1 to 1.8": np.array([*RECORDED, *RECORDED[:0:-1]]),
}
ALIKE = ("0.4", "1.1", "1.8")
PAIRS = list(itertools.combinations(range(len(MODELS)), 2))
REPEATS = (3, 5, 10)
GAINS = (1, 2, 3)  # in standard deviations of seeds
LEAST = 4  # tables
LABELS = np.arange(IMAGES) % CLASSES


@dataclass(frozen=True)
class Layout:
    """Of which family each model is, how often it was trained, and whose block it tunes, if any."""

    name: str
    families: list[str]
    repeats: list[int]
    bases: list[str | None]


def everywhere(repeats: int, name: str) -> Layout:
    return Layout(name, ["cnn"] * len(MODELS), [repeats] * len(MODELS), [None] * len(MODELS))


LAYOUTS = [
    everywhere(3, "3 repeats"),
    everywhere(2, "2 repeats, one family"),
    Layout(
        "the default: four with 3 repeats, three that borrow",
        ["cnn"] * 4 + ["resnet"] * 2 + ["cnn"],
        [3] * 4 + [1] * 3,
        [None] * 6 + [MODELS[0]],
    ),
]
REVISIONS = [
    everywhere(3, "two revisions, 3 repeats each"),
    everywhere(2, "two revisions, 2 repeats each, one family"),
]


@dataclass(frozen=True)
class Table:
    """Seven models, each trained R times, on one draw of N images."""

    areas: np.ndarray  # (7, R)
    shortfalls: np.ndarray  # (7, R, N)
    true_areas: np.ndarray  # (7,), of the first trainings, on all images that might be drawn, but for a constant


@dataclass(frozen=True)
class Repeated:
    """A model of one run: the means over its repeats."""

    training: Training
    area: float
    shortfall: np.ndarray  # (N,)


def main() -> None:
    tables = parse().tables
    false, sentences, power = [], [], []
    for name, ratio in RATIOS.items():
        alike = list(simulated(tables, 2 * min(REPEATS), ratio))
        false += false_verdicts(name, alike)
        sentences.append(held(name, alike))
    for name in ALIKE:
        power += powers(name, list(simulated(tables // 2, max(REPEATS), RATIOS[name])))
    print_table(["seeds / sampling", "models", "rule", "false, alone", "tables with one", "under Holm"], false)
    print("\n".join(sentences) + "\n")
    print_table(["seeds / sampling", "true gain, seed-sd", "repeats", "shown, alone", "of 21, under Holm"], power)


def print_table(header: list[str], rows: list[str]) -> None:
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    print("\n".join(rows) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=300, metavar="N", help="of seven models each; default 300")
    options = parser.parse_args()
    if options.tables < LEAST:
        raise UserError(f"--tables is {options.tables}; allowed: {LEAST} or more")
    return options


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
    """Standard deviation that the draw of images gives an area."""
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


def simulated(tables: int, repeats: int, ratio: np.ndarray) -> Iterator[Table]:
    """Tables of models whose seeds have `ratio` (7,) times the standard deviation of sampling."""
    rng, gain = np.random.default_rng(SEED), slope()
    deviation = (ratio * sampling_deviation() / gain)[:, None]
    for _ in range(tables):
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


def false_verdicts(ratio: str, tables: list[Table]) -> list[str]:
    """Rows of shares of false verdicts: alone, in a table of 21 pairs or 7 models, and in such a table under Holm."""
    question = "would it hold if retrained"
    p_values = {
        "once each | draw of images alone": np.array([[answer.p for answer in shipped(table)] for table in tables]),
        **{f"{own.name} | {question}": np.array([retrained_p(own, table) for table in tables]) for own in LAYOUTS},
        **{f"{own.name} | {question}": np.array([revisions_p(own, table) for table in tables]) for own in REVISIONS},
    }
    rows = []
    for name, p in p_values.items():
        adjusted = np.array([differences.holm(row) for row in p])
        shares = [
            (p < intervals.LEVEL).mean(),
            (p < intervals.LEVEL).any(axis=1).mean(),
            (adjusted < intervals.LEVEL).any(axis=1).mean(),
        ]
        rows.append(f"| {ratio} | {name} | " + " | ".join(map(percent, shares)) + " |")
    return rows


def powers(ratio: str, tables: list[Table]) -> list[str]:
    """Rows of shares of tables in which a pair is told apart whose first model gains so much over all others."""
    rows, seed_deviation = [], RATIOS[ratio][0] * sampling_deviation()
    for gain, repeats in itertools.product(GAINS, REPEATS):
        gains = np.array([gain * seed_deviation * (one == 0) for one, _ in PAIRS])
        p = np.array([retrained_p(everywhere(repeats, ""), table, gains) for table in tables])
        adjusted = np.array([differences.holm(row) for row in p])
        alone, under_holm = ((values[:, gains > 0] < intervals.LEVEL).mean() for values in (p, adjusted))
        rows.append(f"| {ratio} | {gain} | {repeats} | {percent(alone)} | {percent(under_holm)} |")
    return rows


def held(ratio: str, tables: list[Table]) -> str:
    """A sentence on the first question: how many intervals hold the true difference of the two trainings."""
    true = np.array([[table.true_areas[one] - table.true_areas[other] for one, other in PAIRS] for table in tables])
    answers = [shipped(table) for table in tables]
    low, high = (np.array([[getattr(answer, end) for answer in row] for row in answers]) for end in ("low", "high"))
    share = ((low <= true) & (true <= high)).mean()
    return f"Seeds / sampling {ratio}: {percent(share)} of the intervals of `shipped` hold the true difference."


def shipped(table: Table) -> list[Answer]:
    """Answers to the first question for the first training of each model, by pair."""
    return [
        differences.shipped(
            table.areas[one, 0] - table.areas[other, 0],
            table.shortfalls[other, 0] - table.shortfalls[one, 0],
            LABELS,
        )
        for one, other in PAIRS
    ]


def retrained_p(layout: Layout, table: Table, gains: np.ndarray | float = 0.0) -> list[float]:
    """p values of the second question, by pair; `gains` are added to the differences."""
    models = repeated(layout, table)
    gains = np.broadcast_to(gains, len(PAIRS))
    return [p_value(models[one], models[other], gain) for (one, other), gain in zip(PAIRS, gains, strict=True)]


def revisions_p(layout: Layout, table: Table) -> list[float]:
    """p values of the second question, by model, of its first trainings and of the next, as many."""
    before, after = repeated(layout, table), repeated(layout, table, max(layout.repeats))
    apart = [replace(model, training=named(model.training, "after")) for model in after]
    return [p_value(*pair) for pair in zip(apart, before, strict=True)]


def named(training: Training, revision: str) -> Training:
    """With names that no other revision has, since the trainings are others."""
    measured = tuple(f"{revision}: {name}" for name in training.noise.measured)
    return replace(training, noise=replace(training.noise, measured=measured))


def repeated(layout: Layout, table: Table, first: int = 0) -> list[Repeated]:
    """The models of one run, which has the trainings of the table from `first` on."""
    spreads, means = {}, {}
    for model, (name, repeats) in enumerate(zip(MODELS, layout.repeats, strict=True)):
        areas = table.areas[model, first : first + repeats]
        shortfalls = table.shortfalls[model, first : first + repeats]
        means[name] = areas.mean(), shortfalls.mean(axis=0)
        spreads[name] = seeds.spread(areas, shortfalls, LABELS) if repeats > 1 else None
    families = dict(zip(MODELS, layout.families, strict=True))
    return [
        Repeated(Training(repeats, seed_noise(name, families, spreads, base)), *means[name])
        for name, repeats, base in zip(MODELS, layout.repeats, layout.bases, strict=True)
    ]


def p_value(one: Repeated, other: Repeated, gain: float = 0.0) -> float:
    value, contributions = one.area - other.area + gain, other.shortfall - one.shortfall
    return differences.retrained(value, contributions, LABELS, one.training, other.training).p


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    runtime.run(main)
