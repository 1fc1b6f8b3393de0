"""verdicts: how often "better" and "worse" are false, and how many repeats show a true gain.

Simulates tables of seven models of equal skill, each trained several times and scored by the project's own code. An
image's logits are noise of four parts: of the image, of image and model, of image and training, and the skill of the
training, which its seed draws. Prints the Markdown tables of docs/numbers.md.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from study import runtime
from study.runtime import UserError
from study.scoring import differences, intervals, placements, seeds
from study.scoring.differences import Answer, Training

SEED = 0
CLASSES, IMAGES = 10, 1000
SKILL = 1.6  # a ROC-AUC of 0.90
SHARES = {"image": 0.4, "model": 0.25, "training": 0.35}  # of the variance of a logit
MODELS = [f"model{number}" for number in range(7)]
RATIOS = {  # standard deviation of seeds over that of sampling, of each model; measured on the default run: 0.6 to 1.1
    "0.6": np.full(len(MODELS), 0.6),
    "1.1": np.full(len(MODELS), 1.1),
    "0.6 to 1.1": np.linspace(0.6, 1.1, len(MODELS)),
}
ALIKE = ("0.6", "1.1")
PAIRS = list(itertools.combinations(range(len(MODELS)), 2))
REPEATS = (3, 5, 10)
GAINS = (1, 2, 3)  # in standard deviations of seeds
LEAST = 20  # tables
LABELS = np.arange(IMAGES) % CLASSES


@dataclass(frozen=True)
class Layout:
    """Of which family each model is, how often it was trained, and whose block it tunes, if any."""

    name: str
    families: list[str]
    repeats: list[int]
    bases: list[str | None]


def everywhere(repeats: int, families: list[str], name: str) -> Layout:
    return Layout(name, families, [repeats] * len(MODELS), [None] * len(MODELS))


ONE_FAMILY, OWN_FAMILIES = ["cnn"] * len(MODELS), MODELS
LAYOUTS = [
    everywhere(3, ONE_FAMILY, "3 repeats, one family"),
    everywhere(3, OWN_FAMILIES, "3 repeats, each a family"),
    Layout(
        "the default: four with 3 repeats, three that borrow",
        ["cnn"] * 4 + ["resnet"] * 2 + ["cnn"],
        [3] * 4 + [1] * 3,
        [None] * 6 + [MODELS[0]],
    ),
]


@dataclass(frozen=True)
class Table:
    """Seven models, each trained R times, on one draw of N images."""

    areas: np.ndarray  # (7, R)
    shortfalls: np.ndarray  # (7, R, N)
    true_areas: np.ndarray  # (7,), of the first trainings, on all images that might be drawn, but for a constant


def main() -> None:
    tables = parse().tables
    false, sentences, power = [], [], []
    for name, ratio in RATIOS.items():
        alike = list(simulated(tables, min(REPEATS), ratio))
        false += false_verdicts(name, alike)
        sentences.append(held(name, alike))
    for name in ALIKE:
        power += powers(name, list(simulated(tables // 4, max(REPEATS), RATIOS[name])))
    print_table(["seeds / sampling", "models", "rule", "false, alone", "tables with one", "under Holm"], false)
    print("\n".join(sentences) + "\n")
    shown = ["shown, alone", "alone, own repeats only", "of 21 pairs, under Holm"]
    print_table(["seeds / sampling", "true gain, seed-sd", "repeats", *shown], power)


def print_table(header: list[str], rows: list[str]) -> None:
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    print("\n".join(rows) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=2000, metavar="N", help="of 21 comparisons each; default 2000")
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


def sampling_deviation() -> float:
    """Standard deviation that the draw of images gives an area."""
    return float(np.sqrt(np.mean([intervals.sampling(shortfall, LABELS).variance for _, shortfall in at(SKILL)])))


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
    """Rows of shares of false verdicts: alone, in a table of 21 pairs, and in such a table under Holm."""
    p_values = {
        "once each | draw of images alone": np.array([[answer.p for answer in shipped(table)] for table in tables]),
        **{
            f"{layout.name} | would it hold if retrained": np.array([retrained_p(layout, table) for table in tables])
            for layout in LAYOUTS
        },
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
        shown = []
        for families in (ONE_FAMILY, OWN_FAMILIES):
            layout = everywhere(repeats, families, "")
            p = np.array([retrained_p(layout, table, gains) for table in tables])
            alone = (p < intervals.LEVEL)[:, gains > 0].mean()
            under_holm = np.array([differences.holm(row) for row in p])[:, gains > 0] < intervals.LEVEL
            shown.append((alone, under_holm.mean()))
        cells = [percent(share) for share in (shown[0][0], shown[1][0], shown[0][1])]
        rows.append(f"| {ratio} | {gain} | {repeats} | " + " | ".join(cells) + " |")
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
    spreads = {
        name: seeds.spread(table.areas[model, :repeats], table.shortfalls[model, :repeats], LABELS)
        for model, (name, repeats) in enumerate(zip(MODELS, layout.repeats, strict=True))
        if repeats > 1
    }
    families = dict(zip(MODELS, layout.families, strict=True))
    trainings, areas, shortfalls = [], [], []
    for model, (name, repeats, base) in enumerate(zip(MODELS, layout.repeats, layout.bases, strict=True)):
        trainings.append(Training(repeats, seeds.noise(name, families, spreads, base)))
        areas.append(table.areas[model, :repeats].mean())
        shortfalls.append(table.shortfalls[model, :repeats].mean(axis=0))
    return [
        differences.retrained(
            areas[one] - areas[other] + gain,
            shortfalls[other] - shortfalls[one],
            LABELS,
            trainings[one],
            trainings[other],
        ).p
        for (one, other), gain in zip(PAIRS, np.broadcast_to(gains, len(PAIRS)), strict=True)
    ]


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    runtime.run(main)
