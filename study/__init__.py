"""The library behind the stages, one package per subject."""
