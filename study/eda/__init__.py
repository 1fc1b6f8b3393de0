"""A description of the images."""
