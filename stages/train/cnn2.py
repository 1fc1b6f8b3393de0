"""train@cnn2: two convolutional blocks (64, 128 filters).

Reads data/prepared.npz and the params `seed`, `threads` and `models.cnn2`; writes
models/cnn2.keras, models/repeats/cnn2.npz and metrics/validation/cnn2.json.
"""

from pathlib import Path

from study.base import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(64, 128)

if __name__ == "__main__":
    runtime.run(stage.train, Path(__file__).stem, architecture)
