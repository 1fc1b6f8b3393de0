"""Training of one model by its param block."""

import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

from study.base import files
from study.base.runtime import UserError, memory_for
from study.data import arrays
from study.data.arrays import Prepared, Split
from study.models.common.architecture import Architecture, BlockError
from study.models.common.schema import Block
from study.scoring import gpus, scores
from study.scoring.predict import predict
from study.training import batches, batchnorm, optimizer, transfer
from study.training.checkpoint import Checkpoint, Phase, Row
from study.training.loop import DivergedError, Run, fit_epochs


def start(
    name: str,
    block: Block,
    seed: int,
    prepared: Prepared,
    epochs: int | None = None,
    block_name: str | None = None,
) -> Run:
    """The training of `block` on data/prepared.npz with the checkpoint `name`, for `epochs` in place of the block's.

    Messages call the block `block_name`; None: models.NAME.
    """
    epochs = epochs or block.epochs
    checkpoint = checkpoint_of(name, block, seed, epochs, arrays.prepared_digest())
    return Run(block, prepared, seed, epochs, checkpoint, block_name or f"params.yaml: models.{name}")


def checkpoint_of(name: str, block: Block, seed: int, epochs: int, data: str) -> Checkpoint:
    """The checkpoint of a training on the data/prepared.npz of this SHA-256."""
    inputs = {"block": block.model_dump(exclude={"repeats"}), "seed": seed, "epochs": epochs, "data": data}
    if weights := weights_digest(block):
        inputs["weights"] = weights
    return Checkpoint(name, **inputs)


def weights_digest(block: Block) -> str | None:
    """SHA-256 of the file of weights that a block names; None, if it names none that is there."""
    is_file = block.is_pretrained and Path(block.weights).is_file()
    return files.sha256(block.weights) if is_file else None


def seed_of(seed: int, repeat: int) -> int:
    """The seed of a repeat: `seed` itself of repeat 0, else a number below 2**31 that depends on both."""
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0] >> 1) if repeat else seed


def fit(
    architecture: Architecture,
    run: Run,
    on_epoch: Callable[[Row], None] = lambda row: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[keras.Model, list[Row]]:
    """Build and train a model; return it, averaging over mirror images if the block says so, and its history.

    The history has a row per epoch: epoch, loss, accuracy, learning_rate, and validation's loss, accuracy and roc_auc
    of single images. `on_epoch(row)` is called after each; what it raises ends the training. A killed training goes on
    after its last whole epoch, whose rows `on_epoch` is given again. The same run gives the same weights, bit for bit.
    `callbacks` are called before those of the block, and before validation.
    Raises DivergedError where the loss is not finite, UserError where the network cannot be built or finds no memory.
    """
    model, history = next(fit_repeats(architecture, [run], on_epoch, callbacks))
    gc.collect()  # the compiled network, its optimizer's state and its graphs hold each other
    return model, history


def fit_repeats(
    architecture: Architecture,
    runs: Sequence[Run],
    on_epoch: Callable[[Row], None] = lambda row: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Iterator[tuple[keras.Model, list[Row]]]:
    """As `fit`, for runs of one block on the same data: each yields the model, which the next trains anew.

    The network is compiled and traced once. A further run takes over the variables of a network that is built under
    its own seed, so that its weights are those that `fit` gives it alone. `on_epoch` sees the first run.
    """
    first = runs[0]
    gpus.set_up()
    with memory_for(first.name, f"less is needed by a smaller {_sizes(first)}"), gpus.deterministic(first.name):
        model = _new_model(architecture, first)
        trained = _compiled(model, first)
        initial = [keras.ops.convert_to_numpy(variable) for variable in trained.optimizer.variables]
        averaged = mirror_averaged(model) if first.block.mirror_average else model
        yield averaged, _train(trained, first, on_epoch, callbacks)
        for run in runs[1:]:
            _assign(model.variables, _new_model(architecture, run).variables)
            _assign(trained.optimizer.variables, initial)
            yield averaged, _train(trained, run, lambda row: None, ())


def _compiled(model: keras.Model, run: Run) -> keras.Model:
    """A model of the same weights that trains by the run's block."""
    return optimizer.compiled(
        batchnorm.fused(model),
        optimizer.of_block(run.block, steps_per_epoch(run), run.epochs),
        run.block.label_smoothing,
    )


def empty_model(architecture: Architecture, run: Run) -> keras.Model:
    """A model that takes the weights of the one that `fit` returns."""
    model = _built(architecture, run)
    return mirror_averaged(model) if run.block.mirror_average else model


def _assign(variables: Sequence[keras.Variable], values: Sequence) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _sizes(run: Run) -> str:
    """What decides how much memory the training takes, with its values."""
    params = ", ".join(f"{param} ({getattr(run.block, param)})" for param in run.block.SIZES)
    height, width, _ = run.prepared.image_shape
    return f"{params}, or smaller images ({height} x {width} pixels)"


def _new_model(architecture: Architecture, run: Run) -> keras.Model:
    """The network as its training begins, with a head that is trained where the backbone is pretrained."""
    model = _built(architecture, run)
    if run.block.is_pretrained:
        transfer.fit_head(model, run)
    return model


def _built(architecture: Architecture, run: Run) -> keras.Model:
    """The network under the run's seed and precision, in a fresh Keras session."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(run.seed)
    keras.config.set_dtype_policy(run.block.precision)
    try:
        return architecture.build(run.block, run.prepared.image_shape, len(run.prepared.class_names))
    except BlockError as error:
        raise UserError(error.of(run.name)) from None


def steps_per_epoch(run: Run) -> int:
    return len(run.prepared.train) // batch_size(run)


def batch_size(run: Run) -> int:
    """The block's; all training images, where they are fewer."""
    return min(run.block.batch_size, len(run.prepared.train))


def _train(
    model: keras.Model, run: Run, on_epoch: Callable[[Row], None], callbacks: Sequence[keras.callbacks.Callback]
) -> list[Row]:
    """Train the compiled model by the run's block; return the history."""
    block, train, classes = run.block, run.prepared.train, len(run.prepared.class_names)
    callbacks = [*callbacks, ScoreValidation(run.prepared.validation), *optimizer.callbacks(block)]
    phase = Phase(run.checkpoint, "model", callbacks, on_epoch)

    def batches_from(epoch: int) -> Iterator[batches.Batch]:
        return batches.augmented(train, classes, batch_size(run), block.augmentation, run.seed, epoch)

    fit_epochs(model, batches_from, steps_per_epoch(run), run.epochs, phase)
    if not np.isfinite(phase.history[-1]["loss"]):
        raise DivergedError(
            f"{run.name}.learning_rate is {block.learning_rate}, and the loss of the training is not finite; choose a "
            "lower rate"
        )
    return phase.history


def mirror_averaged(model: keras.Model) -> keras.Model:
    """A model of the same weights that gives the mean of `model`'s probabilities for an image and its mirror image."""
    inputs = keras.Input(model.input_shape[1:], dtype=model.input.dtype)
    network = keras.Model(model.input, model.output, name="network")  # without the optimizer, which would be saved
    both = keras.ops.concatenate([inputs, keras.ops.flip(inputs, axis=2)], axis=0)  # one batch: half the tracing
    views = keras.ops.split(network(both), 2, axis=0)
    return keras.Model(inputs, keras.layers.Average(dtype="float32")(views))


class ScoreValidation(keras.callbacks.Callback):
    """Adds val_loss, val_accuracy and val_roc_auc to the logs that callbacks after it see, from one prediction."""

    def __init__(self, validation: Split):
        super().__init__()
        self.validation = validation

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        probabilities = predict(self.model, self.validation.images)
        if not np.isfinite(probabilities).all():
            self.model.stop_training = True
            logs |= {"loss": np.nan, "val_loss": np.nan, "val_accuracy": 0.0, "val_roc_auc": 0.5}
            return
        point = scores.point(self.validation.labels, probabilities)
        logs["val_loss"] = point["log_loss"]
        logs["val_accuracy"] = point["accuracy"]
        logs["val_roc_auc"] = point["roc_auc"]
        rate = self.model.optimizer.learning_rate
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(rate))
