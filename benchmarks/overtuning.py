"""overtuning: how often does a search end with a block that is no better than the model's own, and what gain is kept?

Simulates searches in which every trial is trained once, with and without the last step `confirm`, whose verdicts come
from the project's own code. A run's score is the skill of its block, plus what the validation images add to the block
and to the run, plus what its seed adds. All of it is normal, in standard deviations of the seeds.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from benchmarks import results
from benchmarks.results import percent
from study.base import runtime
from study.scoring.intervals import Sampling
from study.search import gains

SEED = 0
CLASSES = 10
EQUAL_AT = 1000  # validation images whose sampling error is as large as the standard deviation of the seeds
OF_BLOCK, OF_RUN = 0.25, 0.35  # shares of the sampling variance that blocks, and runs of a block, do not share
TRIALS, IMAGES = (8, 16, 32), (500, 1000, 4000)
FINALISTS, REPEATS = 1, 4
CHOICES = list(itertools.product((1, 2), (2, 3, 4, 5)))  # of finalists and repeats
SHARE = 0.25  # of the trials that gain, and of those that lose as much, in a space with a gain
SPACES = {"equal blocks": 0, "none better": None, "gain of 1 sd": 1, "gain of 2 sd": 2, "gain of 3 sd": 3}


@dataclass(frozen=True)
class Searches:
    """The skill of the winners of many searches over that of the own block, without and with `confirm`."""

    unconfirmed: np.ndarray  # (D,); NaN if the own block won
    confirmed: np.ndarray
    most: np.ndarray  # (D,), of the best trial


def main() -> None:
    parser = results.parser("overtuning", __doc__)
    results.add_number(parser, "--draws", 10_000, "searches per row", least=4)
    options = parser.parse_args()
    with results.page(options) as page:
        page.text(
            f"{FINALISTS} finalist, {REPEATS} fresh seeds. % of searches, without → with `confirm`, whose winner is no "
            "better than the own block, and not this block, or worse; % of the gain of the best trial that is kept."
        )
        columns = ["validation images", "space", "trials", "no better", "worse", "gain kept"]
        page.table(columns, (row(*each, options.draws) for each in itertools.product(IMAGES, SPACES, TRIALS)))
        page.text(f"Other finalists and seeds, {TRIALS[1]} trials, after `confirm`. Runs count the own block.")
        columns = ["validation images", "finalists", "seeds", "runs", "no better, of equal blocks", "kept of 3 sd"]
        choices = ((images, *each) for images, each in itertools.product(IMAGES, CHOICES))
        page.table(columns, (choice(*each, options.draws) for each in choices))


def row(images: int, space: str, trials: int, draws: int) -> list:
    """Shares of searches without and with `confirm`."""
    done = simulated(space, trials, images, FINALISTS, REPEATS, draws)
    both = done.unconfirmed, done.confirmed
    no_better = [percent((skills <= 0).mean()) for skills in both]
    worse = [percent((skills < 0).mean()) for skills in both]
    return [images, space, trials, *map(" → ".join, (no_better, worse)), " → ".join(kept(done, each) for each in both)]


def choice(images: int, finalists: int, repeats: int, draws: int) -> list:
    """What other numbers of finalists and seeds show."""
    equal, gain = (
        simulated(space, TRIALS[1], images, finalists, repeats, draws) for space in ("equal blocks", "gain of 3 sd")
    )
    runs = (finalists + 1) * repeats
    return [images, finalists, repeats, runs, percent((equal.confirmed <= 0).mean()), kept(gain, gain.confirmed)]


def kept(searches: Searches, skills: np.ndarray) -> str:
    """The mean gain of the winners as a share of what the best trials would have gained."""
    most = searches.most.mean()
    return f"{100 * np.nan_to_num(skills).mean() / most:.0f} %" if most > 0 else "–"


def simulated(space: str, trials: int, images: int, finalists: int, repeats: int, draws: int) -> Searches:
    """Searches whose trial 0 is the own block; the same each time."""
    rng = np.random.default_rng(SEED)
    of_block, of_run = (share * EQUAL_AT / images for share in (OF_BLOCK, OF_RUN))
    skills = drawn_skills(rng, space, (draws, trials))
    on_images = skills + rng.normal(0, np.sqrt(of_block), skills.shape)
    scores = on_images + rng.normal(0, np.sqrt(of_run + 1), skills.shape)
    order = np.argsort(-scores, axis=1)
    rows = np.arange(draws)
    unconfirmed, confirmed = skills[rows, order[:, 0]], np.full(draws, np.nan)
    unconfirmed[order[:, 0] == 0] = np.nan
    degrees = images - CLASSES
    for draw in rows:
        places = [place for place in order[draw, :finalists] if place]
        if not places:
            continue
        runs = on_images[draw, [0, *places]][:, None] + rng.normal(0, np.sqrt(of_run + 1), (len(places) + 1, repeats))
        means, between = runs.mean(axis=1), float(runs.var(axis=1, ddof=1).mean())
        whole = 2 * (of_block + of_run / repeats) * rng.chisquare(degrees, len(places)) / degrees
        seen = [Sampling(max(0.0, each - 2 * of_run / repeats), degrees) for each in whole]
        found = gains.compared(means[1:] - means[0], seen, between, runs.size - len(runs), repeats, trials)
        shown = [(mean, place) for mean, place, gain in zip(means[1:], places, found, strict=True) if gain.is_shown]
        if shown:
            confirmed[draw] = skills[draw, max(shown)[1]]
    return Searches(unconfirmed, confirmed, skills.max(axis=1))


def drawn_skills(rng: np.random.Generator, space: str, shape: tuple[int, int]) -> np.ndarray:
    """The skills of trials (D, n) over that of the own block, which is the first."""
    gain = SPACES[space]
    if gain is None:
        skills = -np.abs(rng.normal(size=shape))
    else:
        skills = gain * rng.choice([1.0, -1.0, 0.0], shape, p=[SHARE, SHARE, 1 - 2 * SHARE])
    skills[:, 0] = 0
    return skills


if __name__ == "__main__":
    runtime.run(main)
