"""Training of one model by its param block, and the scores that it is chosen by."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from dvclive import Live
from scmrepo.exceptions import SCMError

from stages.lib import dataset, files, params, scoring
from stages.lib.dataset import Prepared, Split
from stages.lib.errors import UserError

LIVE_FOLDER = Path("dvclive")

Build = Callable[[params.Model, Prepared, int], keras.Model]
Epoch = Callable[[int, dict[str, float]], None]


class DivergedError(UserError):
    """The loss of a training is not finite."""


def stage(name: str, build: Build) -> None:
    """The stage train@NAME: fit the model of `models.NAME`, write it, its validation scores and its learning curves."""
    seed, scoring_params, block = params.load("seed", "scoring", f"models.{name}")
    prepared = dataset.read_prepared()
    with live_metrics() as live:

        def log_live(epoch: int, logs: dict[str, float]) -> None:
            for key, value in logs.items():
                live.log_metric(f"{name}/{key}", value)
            live.next_step()

        model, history = fit(build, block, prepared, seed, log_live)
    validation = prepared.validation
    probabilities = scoring.predict(model, validation.images)
    record = scoring.scores(validation.labels, probabilities, scoring_params.bootstrap_replicates, seed)
    files.write_model(f"models/{name}.keras", model)
    write_learning_curves(f"plots/training/{name}.csv", history)
    files.write_json(f"metrics/validation/{name}.json", record)
    print(f"{name}: validation ROC-AUC {record['roc_auc']:.4f}, accuracy {record['accuracy']:.3f}")


@contextmanager
def live_metrics() -> Iterator[Live]:
    """DVCLive's record of the running training, for `dvc exp show` and editors; removed when it ends."""
    try:
        with Live(str(LIVE_FOLDER), dvcyaml=str(LIVE_FOLDER / "dvc.yaml"), report=None, save_dvc_exp=False) as live:
            yield live
    except SCMError as error:
        raise UserError(f"git: {error}; DVC experiments need a first commit") from None
    finally:
        shutil.rmtree(LIVE_FOLDER, ignore_errors=True)


def fit(
    build: Build,
    block: params.Model,
    prepared: Prepared,
    seed: int,
    on_epoch: Epoch = lambda epoch, logs: None,
    epochs: int | None = None,
) -> tuple[keras.Model, list[dict[str, float]]]:
    """Build and train a model; return it with its history, a dict an epoch.

    `on_epoch(epoch, logs)` is called after each epoch with loss, accuracy, learning_rate and validation's loss,
    accuracy and roc_auc; what it raises ends the training. `epochs` overrides the block's.
    The same arguments give the same weights, bit for bit, on the same processor.
    """
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(block.precision)
    model = build(block, prepared, seed)
    train, validation = prepared.train, prepared.validation
    epochs = epochs or block.epochs
    batch_size = min(block.batch_size, len(train))
    steps = len(train) // batch_size
    classes = len(prepared.class_names)

    model.compile(
        optimizer=optimizer(block, steps, epochs),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=block.label_smoothing),
        metrics=["accuracy"],
    )
    callbacks = [ValidationScores(validation)]
    if block.schedule.name == "plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_accuracy",
                mode="max",
                factor=block.schedule.factor,
                patience=block.schedule.patience,
                min_lr=block.schedule.minimum_learning_rate,
            )
        )
    if block.early_stopping_patience:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor="val_accuracy",
                mode="max",
                patience=block.early_stopping_patience,
                restore_best_weights=True,
            )
        )
    history = []

    def record(epoch: int, logs: dict[str, float]) -> None:
        history.append({"epoch": epoch + 1} | {key: float(value) for key, value in logs.items()})
        on_epoch(epoch, logs)

    callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=record))
    model.fit(
        batches(train, classes, batch_size, block.augmentation, seed),
        steps_per_epoch=steps,
        epochs=epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    if not np.isfinite(history[-1]["loss"]):
        raise DivergedError(
            f"{params.FILE}: the loss of a training is not finite; its learning_rate {block.learning_rate} is too high"
        )
    return model, history


def optimizer(block: params.Model, steps: int, epochs: int) -> keras.optimizers.Optimizer:
    """The block's optimizer and schedule for `epochs` of `steps` batches."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = block.learning_rate
    if block.schedule.name == "cosine":
        warmup = min(round(block.schedule.warmup_epochs * steps), steps * epochs - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else block.learning_rate,
            decay_steps=steps * epochs - warmup,
            warmup_target=block.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    decay = block.weight_decay or None
    match block.optimizer:
        case "adam":
            chosen = keras.optimizers.Adam(rate, weight_decay=decay)
        case "rmsprop":
            chosen = keras.optimizers.RMSprop(rate, weight_decay=decay)
        case "sgd":
            chosen = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    if decay:
        chosen.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return chosen


def batches(
    train: Split, classes: int, batch_size: int, augmentation: params.Augmentation, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches: images (batch_size, H, W, 3) uint8, one-hot labels (batch_size, classes) float32.

    Order, flips and shifts of a pass depend on the seed and the number of the pass alone. A shifted image is filled
    with its mirrored border; flip and shift are one indexing of the padded images.
    """
    height, width = train.images.shape[1:3]
    shift = min(augmentation.shift_pixels, height - 1, width - 1)
    padded = np.pad(train.images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
    one_hot = np.eye(classes, dtype=np.float32)
    epoch = 0
    while True:
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(train))
        for start in range(0, len(train) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            top, left = rng.integers(0, 2 * shift + 1, (2, batch_size))
            y = top[:, None] + np.arange(height)
            x = left[:, None] + np.arange(width)
            if augmentation.flip:
                x = np.where(rng.random(batch_size)[:, None] < 0.5, x[:, ::-1], x)
            yield padded[rows[:, None, None], y[:, :, None], x[:, None, :]], one_hot[train.labels[rows]]
        epoch += 1


class ValidationScores(keras.callbacks.Callback):
    """Adds val_loss, val_accuracy and val_roc_auc to the logs that callbacks after it see, from one prediction."""

    def __init__(self, validation: Split):
        super().__init__()
        self.validation = validation

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        probabilities = scoring.predict(self.model, self.validation.images)
        if not np.isfinite(probabilities).all():
            self.model.stop_training = True
            logs |= {"loss": np.nan, "val_loss": np.nan, "val_accuracy": 0.0, "val_roc_auc": 0.5}
            return
        point = scoring.point_scores(self.validation.labels, probabilities)
        logs["val_loss"] = point["log_loss"]
        logs["val_accuracy"] = point["accuracy"]
        logs["val_roc_auc"] = point["roc_auc"]
        rate = self.model.optimizer.learning_rate
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(rate))


def write_learning_curves(path: str, history: list[dict[str, float]]) -> None:
    """One row an epoch, one column a quantity, for `dvc plots`."""
    files.write_csv(path, list(history[0]), ([f"{value:.6g}" for value in row.values()] for row in history))
