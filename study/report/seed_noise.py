"""The noise of each model of a run: how much its score would change if it was trained again from another seed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from study.evaluation.seeds import Noise, Spread, of_seeds

OWN = 3  # repeats from which on a model has a noise of its own


@dataclass(frozen=True)
class Training:
    """How often a model was trained, and what another seed does to its score."""

    repeats: int
    noise: Noise | None


def seed_noise(
    model: str, families: Mapping[str, str], spreads: Mapping[str, Spread | None], base: str | None = None
) -> Noise | None:
    """The noise of a model of `families` (model to family), whose repeats spread by `spreads`; None if none is known.

    A model of OWN repeats or more has its own. The seeds of models of one family can differ many times over in what
    they do (docs/methods.md): pooled, they would hide the changes of a steady model and find changes of an unsteady one
    that are none. A model of two repeats, which is one degree of freedom, has that of its family, pooled over its
    models with their degrees of freedom, as if all were equally steady. A model trained once borrows from the model
    `base` whose block it tunes, if there is one; else the largest noise of a model of its family, else of any model.
    """
    measured = {name: own for name, own in spreads.items() if own is not None}
    of_family = {name: own for name, own in measured.items() if families[name] == families[model]}
    if model in measured:
        enough = measured[model]["degrees_of_freedom"] >= OWN - 1
        return of_seeds({model: measured[model]} if enough else of_family)
    if base is not None:
        lent = seed_noise(base, families, spreads)
        return lent and replace(lent, borrowed=lent.borrowed or base)
    lenders = of_family or measured
    if not lenders:
        return None
    largest = max((of_seeds({name: own}) for name, own in lenders.items()), key=lambda own: own.variance)
    return replace(largest, borrowed=f"family {families[model]}" if of_family else "all models")
