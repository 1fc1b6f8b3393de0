"""verdicts: how often "better", "worse" and "equivalent" are false, and how many repeats show a true gain.

Simulates tables of eight models of equal skill, each trained several times, and gives verdicts by the project's own
code: on all pairs of a run, and on two revisions of each model. An image's logits are noise of four parts: of the
image, of image and model, of image and training run, and the skill of the training run, which its seed draws.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import softmax

from benchmarks import results
from benchmarks.results import percent
from study.base import runtime
from study.evaluation import seeds
from study.report import differences, moderation
from study.report.differences import Pair
from study.report.run import Scored
from study.scoring import intervals, placements

SEED = 0
CLASSES, IMAGES = 10, 1000
LABELS = np.arange(IMAGES) % CLASSES
SKILL = 1.6  # a ROC-AUC of 0.90
SHARES = {"image": 0.4, "model": 0.25, "training": 0.35}  # of the variance of a logit
COUNT = 8  # models
REPEATS = (2, 3, 5)
RATIOS = {  # standard deviation of the seeds over the standard deviation of sampling, of each model
    **{str(ratio): np.full(COUNT, ratio) for ratio in (0.1, 0.4, 1.1, 1.8, 4.0, 10.0)},
    "0.1 to 10": np.array([0.1, 0.4, 1.1, 1.8, 4, 10, 0.4, 1.8]),
}
ONE = "1.1"  # the ratio of the tables below the first
GAINS = (3, 5, 8)  # true ones, in standard deviations of the seeds
LOST, DEVIATIONS_LOST = (0.1, 0.34), 20  # share of the runs that collapse, and by how much
EQUIVALENT = 6  # the smallest change that matters, in standard deviations of the seeds
REQUESTS, LOOKS = 20, 3  # pull requests against one main, repeats of each
NO_CHANGE = 1e-12  # that matters: every difference is better, worse or unclear
LEAST = 4  # tables


@dataclass(frozen=True)
class Images:
    """What a comparison needs of the test images of a model."""

    labels: np.ndarray
    shortfall: np.ndarray
    mean_shortfall: np.ndarray


@dataclass(frozen=True)
class Table:
    """Eight models, each trained R times, on one sample of N images."""

    areas: np.ndarray  # (8, R)
    shortfalls: np.ndarray  # (8, R, N)

    def run(self, first: int, repeats: int, gain: float = 0.0) -> list[Scored]:
        """The models with these of their training runs; the first one gains."""
        chosen = slice(first, first + repeats)
        gains = gain * (np.arange(len(self.areas)) == 0)
        return of_run(self.areas[:, chosen] + gains[:, None], self.shortfalls[:, chosen], LABELS)

    def two_revisions(self, repeats: int, gain: float = 0.0) -> list[tuple[Scored, Scored]]:
        return list(zip(self.run(repeats, repeats, gain), self.run(0, repeats), strict=True))

    def all_pairs(self, repeats: int) -> list[tuple[Scored, Scored]]:
        return list(itertools.combinations(self.run(0, repeats), 2))


def main() -> None:
    parser = results.parser("verdicts", __doc__)
    results.add_number(parser, "--draws", 300, "tables of eight models", least=LEAST)
    options = parser.parse_args()
    draws, seed_deviation = options.draws, RATIOS[ONE][0] * sampling_deviation()
    with results.page(options) as page:
        page.text(
            "False verdicts among models of equal skill: alone, in tables with one or more, in tables under Holm."
        )
        columns = ["seeds / sampling", "repeats", *(f"{kind}: {rate}" for kind in KINDS for rate in RATES)]
        page.table(columns, itertools.chain.from_iterable(false_verdicts(name, draws) for name in RATIOS))
        tables = list(simulated(draws, 2 * max(REPEATS), RATIOS[ONE]))
        page.text(f"The rest: seeds / sampling {ONE}. A true gain of one of eight models that is shown, under Holm.")
        page.table(
            ["true gain, seed sd", *(f"{repeats} repeats" for repeats in REPEATS)], gains(tables, seed_deviation)
        )
        page.text(f"Called equivalent within ± {EQUIVALENT} seed sd, two revisions.")
        columns = ["true difference", *(f"{repeats} repeats" for repeats in REPEATS)]
        page.table(columns, equivalent(tables, seed_deviation))
        page.text(f"Runs lost by {DEVIATIONS_LOST} seed sd: tables of all pairs with a false verdict, under Holm.")
        page.table(["lost", "repeats", "false", "pairs without a verdict"], collapses(draws // 2))
        page.text(
            f"{REQUESTS} pull requests in which nothing changes against one main, {LOOKS} repeats: a false verdict."
        )
        page.table(["rule", "histories"], looks(max(draws // 5, LEAST)))


KINDS = ("all pairs", "two revisions")
RATES = ("alone", "tables", "Holm")


def false_verdicts(ratio: str, count: int) -> Iterator[list[str]]:
    tables = list(simulated(count, 2 * max(REPEATS), RATIOS[ratio]))
    for repeats in REPEATS:
        cells = []
        for kind in (Table.all_pairs, Table.two_revisions):
            tested = [kind(table, repeats) for table in tables]
            alone = np.array([p_values(models) for models in tested]) < intervals.LEVEL
            corrected = [any(is_claim(pair) for pair in verdicts(models)) for models in tested]
            cells += [alone.mean(), alone.any(axis=1).mean(), np.mean(corrected)]
        yield [ratio, repeats, *map(percent, cells)]


def p_values(models: Sequence[tuple[Scored, Scored]]) -> list[float]:
    """Of each pair alone; 1 if it has no verdict."""
    variances = differences.seed_variances(itertools.chain.from_iterable(models))
    collapsed = [one.collapsed + other.collapsed for one, other in models]
    return [
        1.0 if lost else differences.retrained(*pair, variances)[0].p
        for pair, lost in zip(models, collapsed, strict=True)
    ]


def verdicts(models: Sequence[tuple[Scored, Scored]], smallest_change: float = NO_CHANGE) -> list[Pair]:
    return differences.pairs(models, smallest_change)


def is_claim(pair: Pair) -> bool:
    return pair.verdict in ("better", "worse")


def gains(tables: Sequence[Table], seed_deviation: float) -> Iterator[list[str]]:
    """Of two revisions."""
    for gain in GAINS:
        shown = [
            [verdicts(table.two_revisions(repeats, gain * seed_deviation))[0].verdict == "better" for table in tables]
            for repeats in REPEATS
        ]
        yield [gain, *(percent(np.mean(row)) for row in shown)]


def equivalent(tables: Sequence[Table], seed_deviation: float) -> Iterator[list[str]]:
    margin = EQUIVALENT * seed_deviation
    for name, gain in (("0", 0.0), ("as large as matters", margin)):
        called = [
            [verdicts(table.two_revisions(repeats, gain), margin)[0].verdict == "equivalent" for table in tables]
            for repeats in REPEATS
        ]
        yield [name, *(percent(np.mean(row)) for row in called)]


def collapses(count: int) -> Iterator[list[str]]:
    for lost, repeats in itertools.product(LOST, REPEATS):
        tables = [verdicts(table.all_pairs(repeats)) for table in simulated(count, repeats, RATIOS[ONE], lost)]
        false = np.mean([any(map(is_claim, pairs)) for pairs in tables])
        unknown = np.mean([pair.verdict == "unknown" for pairs in tables for pair in pairs])
        yield [percent(lost, 0), repeats, percent(false), percent(unknown, 0)]


def looks(count: int) -> Iterator[list[str]]:
    """A claim is confirmed if runs of both sides from fresh seeds lead to the same one."""
    once, confirmed = [], []
    for table in simulated(count, 2 * LOOKS * (REQUESTS + 1), RATIOS[ONE]):
        main, fresh_main, *heads = (table.run(LOOKS * look, LOOKS) for look in range(2 * (REQUESTS + 1)))
        claims = []
        for head, fresh_head in zip(heads[::2], heads[1::2], strict=True):
            first, second = (
                verdicts(list(zip(*sides, strict=True))) for sides in ((head, main), (fresh_head, fresh_main))
            )
            made = [is_claim(pair) for pair in first]
            same = [one.verdict == other.verdict for one, other in zip(first, second, strict=True)]
            claims.append((any(made), any(np.logical_and(made, same))))
        once.append(any(claim for claim, _ in claims))
        confirmed.append(any(claim for _, claim in claims))
    yield ["one comparison", percent(np.mean(once))]
    yield ["confirmed by fresh seeds of both sides", percent(np.mean(confirmed))]


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
    """Standard deviation of a ROC-AUC over samples of images."""
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


def simulated(count: int, repeats: int, ratio: np.ndarray, lost: float = 0.0) -> Iterator[Table]:
    """Tables of models whose seeds have `ratio` (8,) times the standard deviation of sampling.

    A share `lost` of the runs collapses.
    """
    rng = np.random.default_rng(SEED)
    deviation = (ratio * sampling_deviation())[:, None]
    for _ in range(count):
        changes = rng.normal(0, deviation, (COUNT, repeats))
        changes -= DEVIATIONS_LOST * deviation * (rng.random(changes.shape) < lost)
        skills = SKILL + changes / slope()
        of_image = noise(rng, "image")
        areas, shortfalls = np.empty(skills.shape), np.empty((*skills.shape, IMAGES), np.float32)
        for model in range(COUNT):
            of_model = of_image + noise(rng, "model")
            for repeat in range(repeats):
                logits = of_model + noise(rng, "training")
                logits[np.arange(IMAGES), LABELS] += skills[model, repeat]
                areas[model, repeat], shortfalls[model, repeat] = scored(logits)
        yield Table(areas, shortfalls)


def of_run(areas: np.ndarray, shortfalls: np.ndarray, labels: np.ndarray) -> list[Scored]:
    """The models of one run, from the areas (M, R) and the shortfalls (M, R, N) of their repeats, two or more."""
    names = [f"model{number}" for number in range(len(areas))]
    collapsed = moderation.collapsed(dict(zip(names, areas, strict=True)), 0.0)
    models = []
    for name, own, rows in zip(names, areas, shortfalls, strict=True):
        test = {
            "roc_auc": own[0],
            "roc_auc_mean": own.mean(),
            "repeats": [{"roc_auc": area} for area in own],
            "spread": [seeds.spread(own, rows, labels)],
        }
        models.append(Scored(name, test, Images(labels, rows[0], rows.mean(axis=0)), collapsed[name]))
    return models


if __name__ == "__main__":
    runtime.run(main)
