"""python -m benchmarks.first_steps NAME STEPS: the stage train@NAME, its epochs cut to so many steps."""

import runpy
import sys

import keras


def main(name: str, steps: str) -> None:
    keras.config.set_max_steps_per_epoch(int(steps))
    runpy.run_module(f"stages.train.{name}", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
