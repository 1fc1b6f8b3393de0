"""train@resnet50: ResNet50 of keras.applications.

Reads data/prepared.npz; writes models/resnet50.keras, its validation scores and its learning curves.
"""

from keras.applications import ResNet50

from study import runtime
from study.models.resnet.build import resnet
from study.training import stage

architecture = resnet(ResNet50)

if __name__ == "__main__":
    runtime.run(stage.train, "resnet50", architecture)
