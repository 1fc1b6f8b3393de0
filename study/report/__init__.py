"""What the scores of a run support: comparisons, checks and pages.

`run` reads, `seed_noise` estimates what another seed does to a score, and `differences` answers and gives verdicts.
"""
