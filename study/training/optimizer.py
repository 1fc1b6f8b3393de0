"""The optimizer of a block, its schedule and class weights, and the compiled model."""

import keras
import numpy as np
import tensorflow as tf

from study.models.common.schema import Block


def compiled(model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float) -> keras.Model:
    """The model, compiled for class probabilities and one-hot labels.

    The optimizer and the metric are built here: Keras would create their variables within the first training step, and
    trace that twice.
    """
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    optimizer.build(model.trainable_variables)
    return model


def of_block(block: Block, steps: int, epochs: int) -> keras.optimizers.Optimizer:
    """The block's optimizer and schedule for `epochs` of `steps` batches. Weight decay spares biases and batch norm."""
    rate = learning_rate(block, steps * epochs)
    decay = block.weight_decay or None
    match block.optimizer:
        case "adam":
            optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(rate, weight_decay=decay)
        case "sgd":
            optimizer = FusedSGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class FusedSGD(keras.optimizers.SGD):
    """SGD with momentum whose step is one kernel per variable.

    Keras itself takes seven operations. In a deep network TensorFlow does the first of them for all variables before
    the second of any, and so holds further copies of all weights.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        momentum = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=momentum.value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )


def learning_rate(block: Block, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The block's rate in a run of `steps`: linear from 0, then a cosine to 0; or constant, for a plateau to lower."""
    if block.schedule.name != "cosine":
        return block.learning_rate
    warmup = min(round(block.schedule.warmup_fraction * steps), steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else block.learning_rate,
        decay_steps=steps - warmup,
        warmup_target=block.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def class_weight(block: Block, labels: np.ndarray) -> dict[int, float] | None:
    """How much an image of each class counts in the loss, for `Model.fit`: the same in sum for all classes, and 1 on
    average over the training images. None: 1 for every image."""
    if block.class_weight is None:
        return None
    counts = np.bincount(labels)
    return dict(enumerate((len(labels) / (len(counts) * counts)).tolist()))


def callbacks(block: Block) -> list[keras.callbacks.Callback]:
    """The block's schedule and early stopping on validation accuracy, if they are callbacks of Keras."""
    chosen = []
    if block.schedule.name == "plateau":
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_accuracy",
                mode="max",
                factor=block.schedule.factor,
                patience=block.schedule.patience,
                min_lr=block.schedule.minimum_learning_rate,
            )
        )
    if block.early_stopping_patience:
        chosen.append(
            keras.callbacks.EarlyStopping(
                monitor="val_accuracy",
                mode="max",
                patience=block.early_stopping_patience,
                restore_best_weights=True,
            )
        )
    return chosen
