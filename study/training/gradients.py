"""The gradients that TensorFlow registers while it traces a training step."""

from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops


@contextmanager
def forgotten() -> Iterator[None]:
    """At the end of this context, TensorFlow forgets the gradients that were registered within it.

    Keras sums the gradients of a step by an operation with a registered gradient of its own, which nothing asks for.
    TensorFlow would keep it for good, and with it the graph of the step and the weights: a search would grow with each
    trial. See https://github.com/tensorflow/tensorflow/issues/97697
    """
    known = set(ops.gradient_registry.list())
    try:
        yield
    finally:
        for name in ops.gradient_registry.list() - known:
            del ops.gradient_registry._registry[name]  # TensorFlow has no public way
