"""first_steps: the stage train@NAME with all images in memory, its epochs cut to some steps; cost measures it."""

import sys

import keras

from study.base import runtime
from study.models.common import scripts
from study.training import stage


def main(name: str, steps: str) -> None:
    keras.config.set_max_steps_per_epoch(int(steps))
    stage.train(name, scripts.architecture(name))


if __name__ == "__main__":
    runtime.run(main, *sys.argv[1:])
