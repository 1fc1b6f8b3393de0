"""What the scores of a run support: comparisons, checks and pages.

`run` reads, `moderation` estimates what another seed does to a score, and `differences` answers and gives verdicts.
"""
