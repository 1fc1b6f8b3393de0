"""python -m benchmarks.notebook: the training loop of the study's notebook, for `bench`.

Runs in a workspace: reads data/prepared.npz and the params `seed` and `threads`; writes notebook.json.
"""

import argparse

import keras
import numpy as np
from keras import layers
from tensorflow.keras.preprocessing.image import ImageDataGenerator

from study.base import files, runtime
from study.data.arrays import read_prepared
from study.params.load import load
from study.scoring.predict import predict
from study.scoring.scores import point

BATCH_SIZE = 64


def main() -> None:
    """Train plain Keras layers on Keras' legacy generator of augmented images; write the scores after each epoch.

    Ends once the target is reached, but not before two epochs: the first one holds the compilation.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notebook", description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=float, required=True, help="validation ROC-AUC that ends the training run")
    parser.add_argument("--epochs", type=int, required=True, help="at most")
    options = parser.parse_args()
    params, prepared = load("seed", "threads"), read_prepared()
    runtime.use_threads(params.threads)
    keras.utils.set_random_seed(params.seed)
    network, classes = [keras.Input(prepared.image_shape)], len(prepared.class_names)
    for filters in (64, 128):
        network += [layers.Conv2D(filters, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2)]
    network += [layers.Flatten(), layers.Dense(256), layers.BatchNormalization(), layers.ReLU()]
    model = keras.Sequential([*network, layers.Dense(classes, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.001), loss="categorical_crossentropy", metrics=["accuracy"])
    train, validation = (split.images.astype(np.float32) / 255 for split in (prepared.train, prepared.validation))
    batches = ImageDataGenerator(
        rotation_range=20, zoom_range=0.2, width_shift_range=3 / 32, height_shift_range=3 / 32, horizontal_flip=True
    ).flow(train, keras.utils.to_categorical(prepared.train.labels, classes), BATCH_SIZE, seed=params.seed)
    history = []

    def validate(epoch: int, logs: dict | None = None) -> None:
        score = point(prepared.validation.labels, predict(model, validation))["roc_auc"]
        history.append({"val_roc_auc": score})
        model.stop_training = score >= options.target and len(history) > 1
        print(f"epoch {epoch + 1}/{options.epochs}: val_roc_auc {score:.4f}", flush=True)

    validated = keras.callbacks.LambdaCallback(on_epoch_end=validate)
    model.fit(batches, epochs=options.epochs, callbacks=[validated], verbose=0)
    files.write_json("notebook.json", {"history": history})


if __name__ == "__main__":
    runtime.run(main)
