"""The family `cnn`: convolutional networks trained from scratch."""
