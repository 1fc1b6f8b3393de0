"""Scores on the test split."""
