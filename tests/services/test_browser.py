"""The page that `make plots` writes, in a real browser: all of it is drawn, and it needs no network."""

import contextlib
import csv
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import project
import pytest

from study.__main__ import main
from study.drawing import figures

UNTESTED = "THE PAGE OF PLOTS IS NOT TESTED"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MODELS = project.TINY_SCORED
DROPPED = "resnet101"
SEEN_PIXELS = 6  # width of a point that one can see
DRAWN = "() => [...document.querySelectorAll('body > div')].every(plot => plot.querySelector('svg.marks, img'))"
# What one sees of each plot, by its id: marks that have a size, points as colour and width, texts by their role.
LOOK = """() => Object.fromEntries([...document.querySelectorAll('body > div')].map(plot => {
    const all = pattern => [...plot.querySelectorAll(pattern)];
    const texts = pattern => all(pattern + ' text').map(each => each.textContent);
    const box = each => each.getBoundingClientRect();
    return [plot.id, {
        titles: texts('.role-title'),
        marks: all('.role-mark path').filter(each => box(each).width + box(each).height > 0).length,
        points: all('.mark-symbol.role-mark path').map(each => [each.getAttribute('fill'), box(each).width]),
        lines: all('.mark-line.role-mark path').map(each => each.getAttribute('stroke')),
        values: texts('.mark-text.role-mark'),
        columns: texts('[aria-label^="X-axis"] .role-axis-label'),
        rows: texts('[aria-label^="Y-axis"] .role-axis-label'),
        menu: all('.vega-actions a').map(each => each.textContent),
        images: all('img').map(each => each.naturalWidth),
    }];
}))"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"{UNTESTED}: install one of {', '.join(BROWSERS)}"),
]
pytest.importorskip("vl_convert", reason=f"{UNTESTED}: `make extras` is to install its packages")


@pytest.fixture(scope="module")
def repository(tiny_run, tmp_path_factory) -> Path:
    """A clone of a run with its plots drawn, in which a dropped model has left its files."""
    folder = tmp_path_factory.mktemp("plots") / "repository"
    project.shell(tiny_run[0], "git", "clone", "--quiet", ".", str(folder))
    for left in ("metrics/images/{}.csv", "plots/predictions/{}.png"):
        shutil.copy(folder / left.format(MODELS[0]), folder / left.format(DROPPED))
    with contextlib.chdir(folder):
        main("plots")
    return folder


@pytest.fixture(scope="module")
def page(repository) -> Iterator[dict]:
    """What one sees of each plot, which addresses the page asked for, and its errors."""
    from playwright.sync_api import TimeoutError, sync_playwright

    asked, errors = [], []
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS) as opened:
        tab = opened.new_context(offline=True).new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto((repository / "dvc_plots/index.html").as_uri())
        with contextlib.suppress(TimeoutError):
            tab.wait_for_function(DRAWN)
        yield {"plots": tab.evaluate(LOOK), "asked": asked, "errors": errors}


def test_the_page_asks_for_files_beside_it_only(page, repository):
    place = (repository / "dvc_plots").as_uri()
    assert [address for address in page["asked"] if not address.startswith((place, "data:"))] == []


def test_the_console_has_no_error(page):
    assert page["errors"] == []


def test_every_plot_is_drawn(page):
    """Those of DVC have marks, the others are images."""
    drawn = {name: plot["marks"] + sum(plot["images"]) for name, plot in page["plots"].items()}
    assert [name for name, marks in drawn.items() if not marks] == []
    assert len(drawn) > 20


def test_the_page_has_every_model_and_nothing_of_a_dropped_one(page):
    of_models = {name for name in page["plots"] if name.startswith(("metrics_images_", "plots_predictions_"))}
    assert of_models == {f"metrics_images_{name}_csv" for name in MODELS} | {
        f"plots_predictions_{name}_png" for name in MODELS
    }
    assert DROPPED not in json.dumps(page["plots"])


def test_a_model_of_one_epoch_is_a_point_of_its_own_colour_among_the_learning_curves(page):
    """All models of the run have one epoch."""
    colours, widths = zip(*page["plots"]["plots_learning_curves_csv"]["points"], strict=True)
    assert colours == figures.COLOURS[: len(MODELS)]
    assert min(widths) > SEEN_PIXELS


def test_each_model_is_a_roc_curve_of_the_colour_that_its_learning_curve_has(page):
    assert tuple(page["plots"]["plots_roc_csv"]["lines"]) == figures.COLOURS[: len(MODELS)]


@pytest.mark.parametrize("name", MODELS)
def test_a_confusion_matrix_names_its_model_and_has_the_classes_in_order_and_each_count(page, repository, name):
    plot = page["plots"][f"metrics_images_{name}_csv"]
    classes = json.loads((repository / "metrics/eda.json").read_bytes())["classes"]
    with (repository / f"metrics/images/{name}.csv").open(newline="") as rows:
        pairs = [(row["actual"], row["predicted"]) for row in csv.DictReader(rows)]
    assert f"Confusion of {name} on the test split" in plot["titles"]
    assert (plot["rows"], plot["columns"]) == (classes, classes)
    assert sorted(map(int, plot["values"])) == sorted(pairs.count(pair) for pair in set(pairs))


def test_the_plots_stand_in_the_order_of_a_reader_and_none_twice(page):
    groups = [name.removesuffix("_csv").removesuffix("_png").removesuffix("_json") for name in page["plots"]]
    groups = [re.sub("^(metrics_images|plots_predictions|plots_eda)_.*", r"\1", name) for name in groups]
    assert [name for name, _ in itertools.groupby(groups)] == [
        *("plots_ranking", "plots_roc", "plots_learning_curves", "plots_calibration"),
        *("metrics_trials", "metrics_tune"),
        *("metrics_images", "plots_predictions", "metrics_eda", "plots_eda"),
    ]


def test_no_axis_has_a_single_tick(page):
    """The models of the run have one epoch, and their scores may be equal."""
    assert [name for name, plot in page["plots"].items() if 1 in (len(plot["columns"]), len(plot["rows"]))] == []


def test_the_menu_of_each_chart_saves_it_as_a_picture(page):
    menus = [plot["menu"] for plot in page["plots"].values() if plot["marks"]]
    assert menus == [["Save as SVG", "Save as PNG"]] * len(menus)
