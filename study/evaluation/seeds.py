"""How much a score changes if a model is trained again from another seed.

Repeats of one training are scored on the same images. The variance of their areas holds the variance of the seeds and,
since images are finitely many, a part that another draw of images would change: see `spread` and docs/methods.md.
Which sources of variance to count: Bouthillier et al., Accounting for variance in machine learning benchmarks, 2021,
arXiv:2103.03098.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from study.scoring import intervals

Variance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Spread(TypedDict):
    """Of the repeats of one training."""

    raw_variance: Variance  # of their areas
    sampling_variance: Variance  # what finitely many images add to it
    degrees_of_freedom: Annotated[int, Field(ge=1)]  # repeats − 1


def spread(roc_aucs: Sequence[float], shortfalls: np.ndarray, labels: np.ndarray) -> Spread:
    """From the areas (R,) of R repeats, two or more, and the shortfalls (R, N) of their images with labels (N,).

    Two repeats' areas differ with a variance of twice that of seeds and images together; the closed form gives the
    images' part.
    """
    return {
        "raw_variance": float(np.var(roc_aucs, ddof=1)),
        "sampling_variance": intervals.sampling_of_runs(shortfalls, labels),
        "degrees_of_freedom": len(roc_aucs) - 1,
    }
