"""train@resnet101: ResNet101 of keras.applications.

Reads data/prepared.npz and the params `seed`, `threads` and `models.resnet101`; writes
models/resnet101.keras, models/repeats/resnet101.npz and metrics/validation/resnet101.json.
"""

from pathlib import Path

from keras.applications import ResNet101

from study.base import runtime
from study.models.resnet.build import resnet
from study.training import stage

architecture = resnet(ResNet101)

if __name__ == "__main__":
    runtime.run(stage.train, Path(__file__).stem, architecture)
