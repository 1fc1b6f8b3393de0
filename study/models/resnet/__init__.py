"""The family `resnet`: ResNets of keras.applications."""
