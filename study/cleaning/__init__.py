"""Duplicates, near-duplicates and the split of the training images."""
