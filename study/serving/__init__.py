"""Models at work: predictions of image files, and models for other programs."""
