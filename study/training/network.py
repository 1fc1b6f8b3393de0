"""The network of a model, and its training."""

import gc
from collections.abc import Callable, Sequence

import keras
import numpy as np

from study.base.runtime import UserError, memory_for
from study.data.arrays import Prepared, Split
from study.models.common.architecture import Architecture, BlockError
from study.models.common.schema import Block
from study.scoring import gpus, scores
from study.scoring.predict import predict
from study.training import batches, batchnorm, gradients, optimizer, transfer
from study.training.checkpoint import Checkpoint, Phase, Row, Unkept, ignore
from study.training.run import DivergedError, Run


class Network:
    """An architecture, and the data that it is trained on.

    Consecutive runs of one block share a network that is compiled and traced once. A further run takes over the
    variables of a network that is built under its own seed, so its weights are the same as if it ran alone.
    """

    def __init__(self, architecture: Architecture, prepared: Prepared):
        self.architecture, self.prepared = architecture, prepared
        self._forget()

    def train(
        self,
        run: Run,
        checkpoint: Checkpoint | Unkept,
        on_epoch: Callable[[Row], None] = ignore,
    ) -> tuple[keras.Model, list[Row]]:
        """Train; return the model, averaging over mirror images if the block says so, and its history.

        The history has a row per epoch: epoch, loss, accuracy, learning_rate, and validation's loss, accuracy and
        roc_auc of single images. `on_epoch(row)` is called after each; what it raises ends the run. A killed run goes
        on after its last whole epoch, whose rows `on_epoch` is given again. The same run gives the same weights, bit
        for bit. The next run of the block changes the model.
        Raises DivergedError if the loss is not finite, UserError if the network cannot be built or finds no memory.
        """
        gpus.set_up()
        block = run.block
        lighter = f"less is needed by a smaller {self._sizes(block)}"
        with memory_for(run.block_name, lighter), gpus.deterministic(run.block_name):
            self._begin(run, checkpoint)
            validation = ScoreValidation(self._plain, self.prepared.validation)
            phase = Phase(checkpoint, "model", [validation, *optimizer.callbacks(block)], on_epoch)
            images = batches.augmented(
                self.prepared.train,
                len(self.prepared.class_names),
                self._batch_size(block),
                block.augmentation,
                run.seed,
                phase.next_epoch(run.epochs),
            )
            options = phase.options(run.epochs) | {
                "steps_per_epoch": self._steps(block),
                "class_weight": optimizer.class_weight(block, self.prepared.train.labels),
            }
            with gradients.forgotten():
                self._compiled.fit(batches.stream(images), **options)
        if not np.isfinite(phase.history[-1]["loss"]):
            raise DivergedError(
                f"{run.block_name}.learning_rate is {block.learning_rate}, and the loss of the training is not finite; "
                "choose a lower rate",
                phase.history,
            )
        return self._model, phase.history

    def empty_model(self, run: Run) -> keras.Model:
        """A model that takes the weights of the one that `train` returns."""
        model = self._built(run)
        return mirror_averaged(model) if run.block.mirror_average else model

    def _forget(self) -> None:
        self._shared: tuple[Block, int] | None = None  # block and epochs of the runs that share the network
        self._plain = self._compiled = self._model = None
        gc.collect()  # the compiled network, its optimizer's state and its graphs hold each other

    def _begin(self, run: Run, checkpoint: Checkpoint | Unkept) -> None:
        """Bring the compiled network into the state in which the run's training begins."""
        if self._shared == (run.block, run.epochs):
            _assign(self._plain.variables, self._new(run, checkpoint).variables)
            _assign(self._compiled.optimizer.variables, self._optimizer_state)
            return
        self._forget()
        self._plain = self._new(run, checkpoint)
        self._compiled = optimizer.compiled(
            batchnorm.fused(self._plain),
            optimizer.of_block(run.block, self._steps(run.block), run.epochs),
            run.block.label_smoothing,
        )
        self._optimizer_state = [_kept(each) for each in self._compiled.optimizer.variables]
        self._model = mirror_averaged(self._plain) if run.block.mirror_average else self._plain
        self._shared = run.block, run.epochs

    def _new(self, run: Run, checkpoint: Checkpoint | Unkept) -> keras.Model:
        """The network as its training begins, with a trained head if the backbone is pretrained."""
        model = self._built(run)
        if run.block.is_pretrained:
            transfer.train_head(model, run, self.prepared, checkpoint)
        return model

    def _built(self, run: Run) -> keras.Model:
        """The network under the run's seed and precision, in a fresh Keras session."""
        keras.utils.clear_session()
        keras.utils.set_random_seed(run.seed)
        keras.config.set_dtype_policy(run.block.precision)
        try:
            return self.architecture.build(run.block, self.prepared.image_shape, len(self.prepared.class_names))
        except BlockError as error:
            raise UserError(error.of(run.block_name)) from None

    def _steps(self, block: Block) -> int:
        """Batches per epoch."""
        return len(self.prepared.train) // self._batch_size(block)

    def _batch_size(self, block: Block) -> int:
        """Batch size, capped at the number of training images."""
        return min(block.batch_size, len(self.prepared.train))

    def _sizes(self, block: Block) -> str:
        """What decides how much memory the training takes, with its values."""
        params = ", ".join(f"{param} ({getattr(block, param)})" for param in block.SIZES)
        height, width, _ = self.prepared.image_shape
        return f"{params}, or smaller images ({height} x {width} pixels)"


def _kept(variable: keras.Variable) -> np.ndarray:
    """Its value; zeros, as almost all of an optimizer's state at the start, take no memory."""
    value = keras.ops.convert_to_numpy(variable)
    return value if value.any() else np.broadcast_to(np.zeros((), value.dtype), value.shape)


def _assign(variables: Sequence[keras.Variable], values: Sequence) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def mirror_averaged(model: keras.Model) -> keras.Model:
    """A model of the same weights that gives the mean of `model`'s probabilities for an image and its mirror image."""
    inputs = keras.Input(model.input_shape[1:], dtype=model.input.dtype)
    network = keras.Model(model.input, model.output, name="network")  # without the optimizer, which would be saved
    both = keras.ops.concatenate([inputs, keras.ops.flip(inputs, axis=2)], axis=0)  # one batch: half the tracing
    views = keras.ops.split(network(both), 2, axis=0)
    return keras.Model(inputs, keras.layers.Average(dtype="float32")(views))


class ScoreValidation(keras.callbacks.Callback):
    """Adds val_loss, val_accuracy and val_roc_auc to the logs that callbacks after it see, from one prediction.

    `network` shares the weights of the model that is trained. Without mirror images it is the model that predicts
    later, so that its prediction is traced once.
    """

    def __init__(self, network: keras.Model, validation: Split):
        super().__init__()
        self.network, self.validation = network, validation

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        probabilities = predict(self.network, self.validation.images)
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
