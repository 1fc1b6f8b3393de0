"""Commands of `python -m study` that use DVC."""
