"""The search: rounds of trials of one model's block, each round by successive halving.

All trials of a round are asked before any of them has a score, and told once all have ended, in the order of their
numbers. So what a sampler proposes depends on the rounds before and on the order of asking, never on which run
ends first. Successive halving: Jamieson and Talwalkar, 2016, arXiv:1502.07943; rungs are Hyperband's, arXiv:1603.06560.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from study.base.runtime import UserError
from study.data import arrays
from study.display.progress import Estimate
from study.models.common import scripts
from study.models.common.schema import Block
from study.params.schema import Space, Tune, override
from study.search import space
from study.training.run import Run, seed_of, weights_digest
from study.training.task import Result, Workers, outcomes


@dataclass
class Contender:
    """A trial of a round, and what it came to in each rung that it was trained in."""

    trial: optuna.Trial
    block: Block
    lengths: list[int]  # epochs of each rung
    results: list[Result] = field(default_factory=list)

    @property
    def score(self) -> float | None:
        """In the last rung; None if it diverged there."""
        return self.results[-1]["roc_auc"]

    @property
    def epochs_run(self) -> int:
        """In all rungs; rungs of one length, which a block of few epochs may have, are one run."""
        return sum(len(result["history"]) for result in dict(zip(self.lengths, self.results, strict=False)).values())

    @property
    def is_complete(self) -> bool:
        return len(self.results) == len(self.lengths) and self.score is not None

    def add(self, result: Result) -> None:
        """Take the result of the next rung, and report its score; rungs of one length have the same."""
        rung = len(self.results)
        if result["roc_auc"] is not None and self.lengths[rung] not in self.lengths[:rung]:
            self.trial.report(result["roc_auc"], self.lengths[rung])
        self.results.append(result)


def search(
    model: str,
    block: Block,
    tune: Tune,
    seed: int,
    storage: BaseStorage | None = None,
    workers: Workers | None = None,
    name: str | None = None,
) -> optuna.Study:
    """Maximise the validation ROC-AUC of `block` over its family's space; trial 0 of `tpe` is the block, or next to it.

    A trial that went through all rungs is complete, any other pruned, and one that failed asked for the setting of an
    earlier one. A killed search, called again with an empty storage, takes the runs that were finished as they were,
    and ends with the same study, whose `name` is that of the model unless given. Without a storage the study is kept in
    memory.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # else it prints each trial
    values = getattr(tune.space, block.family)
    study = optuna.create_study(storage=storage, study_name=name or model, direction="maximize")
    given = space.grid(values) if tune.sampler == "grid" else [space.nearest(block, values)]
    for each in given:
        study.enqueue_trial(each)
    count = int(min(tune.trials, space.size(values)))
    if tune.sampler == "tpe" and count < tune.trials:
        print(f"tune.space.{block.family} has {count} settings: the search of {model} ends after them", flush=True)
    starts = range(0, count, tune.round_size)
    sizes = [len(given)] if tune.sampler == "grid" else [min(tune.round_size, count - start) for start in starts]
    lengths = epochs_of_rungs(tune, override(block, given[0], "tune").epochs)
    estimate = Estimate(sum(epochs_of_round(size, lengths, tune.reduction_factor) for size in sizes))
    train_rung = rung_of(model, seed, workers, estimate)
    settings: list[dict] = []
    for number, size in enumerate(sizes):
        study.sampler = sampler(seed_of(seed, number), tune)
        contenders = [ask(study, block, tune, values, settings) for _ in range(size)]
        for each in contenders:
            print(f"round {number} of {model}, trial {each.trial.number}: {each.trial.params}", flush=True)
        halve(contenders, tune.reduction_factor, train_rung)
        for each in contenders:
            tell(study, each, number)
    return study


def sampler(seed: int, tune: Tune) -> optuna.samplers.TPESampler:
    """A sampler of its own for one round, in which trials that run count as bad ones: the others keep away from them.

    The first round is drawn at random: no trial has been told.
    """
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=tune.round_size, constant_liar=True)


def epochs_of_rungs(tune: Tune, own: int) -> list[int]:
    """Epochs of each rung for a block of `own` epochs, which none exceeds.

    The last has `tune.epochs`; each one before it the next's, divided by `tune.reduction_factor`.
    """
    last = tune.epochs or own
    shares = [tune.reduction_factor**rung for rung in reversed(range(tune.rungs))]
    return [min(own, -(-last // share)) for share in shares]


def epochs_of_round(trials: int, lengths: list[int], reduction_factor: int) -> int:
    """Epochs of a round with rungs of these lengths, if no run stops early."""
    count = 0
    for epochs in lengths:
        count += trials * epochs
        trials = places(trials, reduction_factor)
    return count


def ask(study: optuna.Study, block: Block, tune: Tune, values: Space, settings: list[dict]) -> Contender:
    """A trial with a setting that is none of the `settings`, to which it is added."""
    trial = study.ask()
    setting = space.suggested(trial, values)
    if setting in settings:
        study.tell(trial, state=TrialState.FAIL)
        study.enqueue_trial(space.untried(setting, values, settings))
        trial = study.ask()
        setting = space.suggested(trial, values)
    settings.append(setting)
    changed = override(block, setting, "tune")
    lengths = epochs_of_rungs(tune, changed.epochs)
    if tune.epochs is None and len(set(lengths)) < tune.rungs:
        raise UserError(
            f"params.yaml: tune.rungs is {tune.rungs}, of {', '.join(map(str, lengths))} epochs for "
            f"{study.study_name}; allowed: rungs of different lengths; lower rungs or reduction_factor"
        )
    return Contender(trial, changed, lengths)


def rung_of(model: str, seed: int, workers: Workers | None, estimate: Estimate) -> Callable[[list[Contender]], None]:
    """What trains contenders for their next rung, shows how each ends, and adds the results to them."""
    architecture = scripts.architecture(model)
    data = arrays.prepared_digest()
    prepared = None if workers else arrays.read_prepared()

    def train_rung(contenders: list[Contender]) -> None:
        runs = [
            Run(
                name=f"tune/{model}-{each.trial.number}",
                title=f"trial {each.trial.number} of {model}",
                block_name=f"params.yaml: trial {each.trial.number} of tune: models.{model}",
                script=model,
                block=each.block,
                epochs=each.lengths[len(each.results)],
                seed=seed,
                data=data,
                weights=weights_digest(each.block),
                keeps_weights=False,
            )
            for each in contenders
        ]
        results = outcomes(architecture, prepared, runs, workers)
        for each, run, (result, _) in zip(contenders, runs, results, strict=True):
            each.add(result)
            shown = "its loss is not finite" if each.score is None else f"validation ROC-AUC {each.score:.4f}"
            left = estimate.finish(run.epochs)
            print(f"{run.title}: {shown}; about {left} of the search left", flush=True)

    return train_rung


def halve(contenders: list[Contender], reduction_factor: int, train_rung: Callable[[list[Contender]], None]) -> None:
    """Train all contenders for the first rung, those promoted for the next, and so on."""
    for _ in contenders[0].lengths:
        train_rung(contenders)
        contenders = promoted(contenders, reduction_factor)


def promoted(contenders: list[Contender], reduction_factor: int) -> list[Contender]:
    """The best 1/`reduction_factor` of those in a rung, one at least, in the order of their numbers.

    Of equal scores, the trial of the lower number goes first. A contender that diverged never goes on.
    """
    scored = [each for each in contenders if each.score is not None]
    ranked = sorted(scored, key=lambda each: (-each.score, each.trial.number))
    return sorted(ranked[: places(len(contenders), reduction_factor)], key=lambda each: each.trial.number)


def places(trials: int, reduction_factor: int) -> int:
    """Trials in the next rung, for the number of trials in one."""
    return -(-trials // reduction_factor)


def tell(study: optuna.Study, contender: Contender, round_number: int) -> None:
    """Tell the study how a trial ended: complete with its last score, else pruned."""
    trial = contender.trial
    reached = sum(result["roc_auc"] is not None for result in contender.results)
    kinds = sorted({result["kind"] for result in contender.results})
    attributes = {"round": round_number, "rung": reached - 1, "epochs_run": contender.epochs_run, "kinds": kinds}
    for key, value in attributes.items():
        trial.set_user_attr(key, value)
    if contender.is_complete:
        study.tell(trial, contender.score)
    else:
        study.tell(trial, state=TrialState.PRUNED)
