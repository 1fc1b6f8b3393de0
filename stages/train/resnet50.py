"""train@resnet50: ResNet50 of keras.applications.

Reads data/prepared.npz and the params `seed`, `threads` and `models.resnet50`; writes
models/resnet50.keras, models/repeats/resnet50.npz and metrics/validation/resnet50.json.
"""

from pathlib import Path

from keras.applications import ResNet50

from study.base import runtime
from study.models.resnet.build import resnet
from study.training import stage

architecture = resnet(ResNet50)

if __name__ == "__main__":
    runtime.run(stage.train, Path(__file__).stem, architecture)
