"""What long work shows: which stage of how many, and how much time is left."""

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


STAGES = """\
stages:
  download: {cmd: a}
  train:
    foreach: ${models}
    do: {cmd: b}
  report: {cmd: c}
"""
PLACES = {"the first": ("download", 1), "a model's": ("train@two", 3), "the last": ("report", 4)}


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """The working folder, with dvc.yaml and params.yaml of four stages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "params.yaml").write_text("models: {one: {}, two: {}}")
    return tmp_path


@pytest.mark.parametrize(("stage", "place"), PLACES.values(), ids=PLACES)
def test_a_stage_that_dvc_runs_shows_its_place(stages, monkeypatch, stage, place):
    monkeypatch.setenv("DVC_STAGE", stage)
    assert progress.stage_of_stages() == f"stage {place} of 4"


def test_a_stage_that_dvc_does_not_run_shows_no_place(stages, monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert progress.stage_of_stages() == ""


UNREADABLE = {
    "no file": None,
    "no mapping": "- 1",
    "no models": "seed: 1",
    "no YAML": "models: [",
    "no text": "\x00",
    "models without names": "models: 3",
    "brackets without an end": "[" * 500,
}


@pytest.mark.parametrize("params", UNREADABLE.values(), ids=UNREADABLE)
def test_params_that_cannot_be_read_show_no_place(stages, monkeypatch, params):
    monkeypatch.setenv("DVC_STAGE", "report")
    (stages / "params.yaml").unlink()
    if params is not None:
        (stages / "params.yaml").write_text(params)
    assert progress.stage_of_stages() == ""
