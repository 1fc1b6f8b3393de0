"""train@cnn2_dropout: cnn2 with dropout.

Reads data/prepared.npz and the params `seed`, `threads` and `models.cnn2_dropout`; writes
models/cnn2_dropout.keras, models/repeats/cnn2_dropout.npz and metrics/validation/cnn2_dropout.json.
"""

from pathlib import Path

from study.base import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(64, 128)

if __name__ == "__main__":
    runtime.run(stage.train, Path(__file__).stem, architecture)
