"""Predictions, scores and their intervals."""
