"""What the scores of a run support: comparisons, checks and pages."""
