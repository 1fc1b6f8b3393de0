"""Long work shows how much time is left."""

import pytest

from study.display import progress

DURATIONS = {
    0: "0 s",
    42: "42 s",
    59.6: "1 min 0 s",
    185: "3 min 5 s",
    3599.4: "59 min 59 s",
    7800: "2 h 10 min",
    90_000: "25 h 0 min",
}


@pytest.mark.parametrize(("seconds", "text"), DURATIONS.items(), ids=map(str, DURATIONS))
def test_a_duration_is_given_in_its_two_largest_units(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("finished", "left"), [pytest.param(1, "2 min 24 s", id="one of ten"), pytest.param(10, "0 s", id="all of ten")]
)
def test_the_time_left_is_that_of_the_unfinished_parts(clock, finished, left):
    estimate = progress.Estimate(10)
    for _ in range(finished):
        clock.now += 16
        text = estimate.finish()
    assert text == left
