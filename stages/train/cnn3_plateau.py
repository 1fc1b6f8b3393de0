"""train@cnn3_plateau: three blocks (32, 64, 128 filters), early stopping and a plateau schedule.

Reads data/prepared.npz and the params `seed`, `threads` and `models.cnn3_plateau`; writes
models/cnn3_plateau.keras, models/repeats/cnn3_plateau.npz and metrics/validation/cnn3_plateau.json.
"""

from pathlib import Path

from study.base import runtime
from study.models.cnn.build import cnn
from study.training import stage

architecture = cnn(32, 64, 128)

if __name__ == "__main__":
    runtime.run(stage.train, Path(__file__).stem, architecture)
