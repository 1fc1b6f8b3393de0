"""Training of one model by its param block, and the scores that it is chosen by."""

import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from dvclive import Live
from scmrepo.exceptions import SCMError

from stages.lib import batches, batchnorm, checkpoint, dataset, files, params, scoring
from stages.lib.dataset import Prepared, Split
from stages.lib.errors import UserError

LIVE_FOLDER = Path("dvclive")


@dataclass(frozen=True)
class Run:
    """One training: all that its weights depend on, and where a killed one left off."""

    block: params.Model
    prepared: Prepared
    seed: int
    epochs: int
    checkpoint: checkpoint.Checkpoint


Build = Callable[[Run], keras.Model]
Row = dict[str, float]


class DivergedError(UserError):
    """The loss of a training is not finite."""


def stage(name: str, build: Build) -> None:
    """The stage train@NAME: fit the model of `models.NAME`, write it, its validation scores and its learning curves."""
    seed, scoring_params, block = params.load("seed", "scoring", f"models.{name}")
    run = start(name, block, seed)
    with live_metrics() as live:

        def log_live(row: Row) -> None:
            for key, value in row.items():
                if key != "epoch":
                    live.log_metric(f"{name}/{key}", value)
            live.next_step()

        _, record = train(name, build, run, scoring_params, log_live)
    files.write_json(f"metrics/validation/{name}.json", record)
    print(f"{name}: validation ROC-AUC {record['roc_auc']:.4f}, accuracy {record['accuracy']:.3f}")


def train(
    name: str,
    build: Build,
    run: Run,
    scoring_params: params.Scoring,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> tuple[keras.Model, scoring.Scores]:
    """`fit` the model, write it and its learning curves as NAME; return it and its validation scores."""
    model, history = fit(build, run, on_epoch)
    gc.collect()  # the network that was trained, its optimizer's state and its graphs: they hold each other
    validation = run.prepared.validation
    probabilities = scoring.predict(model, validation.images)
    files.write_model(f"models/{name}.keras", model)
    write_learning_curves(f"plots/training/{name}.csv", history)
    return model, scoring.scores(validation.labels, probabilities, scoring_params.bootstrap_replicates, run.seed)


def start(
    name: str, block: params.Model, seed: int, prepared: Prepared | None = None, epochs: int | None = None, **more: Any
) -> Run:
    """The training of `block` on data/prepared.npz (already read as `prepared`, where given) with its checkpoint NAME.

    `epochs` overrides the block's; `more` is what else the checkpoint belongs to.
    """
    epochs = epochs or block.epochs
    inputs = {
        "block": block.model_dump(),
        "seed": seed,
        "epochs": epochs,
        "data": files.sha256(dataset.PREPARED),
    } | more
    if getattr(block, "weights", None) and Path(block.weights).is_file():
        inputs["weights"] = files.sha256(block.weights)
    return Run(block, prepared or dataset.read_prepared(), seed, epochs, checkpoint.Checkpoint(name, **inputs))


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


def fit(build: Build, run: Run, on_epoch: Callable[[Row], None] = lambda row: None) -> tuple[keras.Model, list[Row]]:
    """Build and train a model; return it, averaging over mirror images if the block says so, and its history, a dict an
    epoch, whose validation scores are of single images.

    `on_epoch(row)` is called after each epoch with epoch, loss, accuracy, learning_rate and validation's loss, accuracy
    and roc_auc; what it raises ends the training. A killed training goes on after its last whole epoch, whose rows
    `on_epoch` is given again. The same run gives the same weights, bit for bit, on the same processor.
    """
    block = run.block
    keras.utils.clear_session()
    keras.config.set_floatx("float32")  # whatever ~/.keras/keras.json says
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.utils.set_random_seed(run.seed)
    keras.config.set_dtype_policy(block.precision)
    model = build(run)
    train = run.prepared.train
    batch_size = min(block.batch_size, len(train))
    steps = len(train) // batch_size
    classes = len(run.prepared.class_names)

    model.compile(
        optimizer=optimizer(block, steps, run.epochs),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=block.label_smoothing),
        metrics=["accuracy"],
    )
    callbacks = [ValidationScores(run.prepared.validation)]
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
    with batchnorm.fused(model):
        history = run_epochs(
            model,
            lambda epoch: batches.augmented(train, classes, batch_size, block.augmentation, run.seed, epoch),
            steps,
            run.epochs,
            callbacks,
            run.checkpoint.phase("model"),
            on_epoch,
        )
    if not np.isfinite(history[-1]["loss"]):
        raise DivergedError(
            f"{params.FILE}: the loss of a training is not finite; its learning_rate {block.learning_rate} is too high"
        )
    return (mirror_averaged(model) if block.mirror_average else model), history


def mirror_averaged(model: keras.Model) -> keras.Model:
    """A model of the same weights that gives the mean of `model`'s probabilities for an image and its mirror image."""
    inputs = keras.Input(model.input_shape[1:], dtype=model.input.dtype)
    network = keras.Model(model.input, model.output, name="network")  # without the optimizer, which would be saved
    views = network(inputs), network(keras.ops.flip(inputs, axis=2))
    return keras.Model(inputs, keras.layers.Average(dtype="float32")(views))


def run_epochs(
    model: keras.Model,
    batches_from: Callable[[int], Iterator[batches.Batch]],
    steps: int,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
    phase: checkpoint.Phase,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """`model.fit` from where `phase` stands; `batches_from(epoch)` are the endless batches from that epoch on."""
    first = epochs if phase.stopped else len(phase.history)
    model.fit(
        batches.stream(batches_from(first)),
        steps_per_epoch=steps,
        initial_epoch=first,
        epochs=epochs,
        callbacks=[*callbacks, phase.saver(callbacks, on_epoch)],
        shuffle=False,  # the batches are in order
        verbose=1 if sys.stdout.isatty() else 2,
    )
    return phase.history


def optimizer(block: params.Model, steps: int, epochs: int) -> keras.optimizers.Optimizer:
    """The block's optimizer and schedule for `epochs` of `steps` batches."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = block.learning_rate
    if block.schedule.name == "cosine":
        total = steps * epochs
        warmup = min(round(block.schedule.warmup_fraction * total), total - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else block.learning_rate,
            decay_steps=total - warmup,
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
