"""train@cnn3_dropout: three convolutional blocks (64, 128, 64 filters) with dropout.

Reads data/prepared.npz and the params `seed`, `threads` and `models.cnn3_dropout`; writes
models/cnn3_dropout.keras, models/repeats/cnn3_dropout.npz and metrics/validation/cnn3_dropout.json.
"""

from pathlib import Path

from study.base import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(64, 128, 64)

if __name__ == "__main__":
    runtime.run(stage.train, Path(__file__).stem, architecture)
