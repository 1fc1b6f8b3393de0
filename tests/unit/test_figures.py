"""Figures have the same bytes for the same content, whatever the user's settings and the names in them."""

import itertools
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from project import ROOT
from samples import ranked, without_intervals

from study.cleaning.near_duplicates import Pairs
from study.data.arrays import Split
from study.drawing import figures
from study.eda import eda_figures
from study.evaluation import evaluate
from study.report import model_figures

NAMES = ["accuracy", "macro avg", "$_$"]
LABELS = np.arange(9, dtype=np.uint8) % 3
SPLIT = Split(np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3)).astype(np.uint8), LABELS)
SPLITS = {"train": SPLIT, "test": SPLIT}


MODELS = [ranked("best", 0.8), *(ranked(f"cnn{number}", 0.8) for number in range(2))]
PAIRS = Pairs(np.array([[0, 3], [0, 1]]), np.zeros((0, 2), int), np.array([[8, 2]]))
CURVES = {model.name: [(0.0, 0.1), (0.5, 0.9), (1.0, 1.0)] for model in MODELS}
FIGURES = {
    "label counts": lambda: eda_figures.label_counts(SPLITS, NAMES),
    "label shares": lambda: eda_figures.label_shares(SPLITS, NAMES),
    "samples": lambda: eda_figures.samples("train", SPLIT, NAMES, 0),
    "mean images": lambda: eda_figures.mean_images(SPLIT, NAMES),
    "pixel histograms": lambda: eda_figures.pixel_histograms(dict.fromkeys(SPLITS, np.eye(3, 256))),
    "near duplicates": lambda: eda_figures.near_duplicates(SPLITS, PAIRS, NAMES, 0),
    "predictions": lambda: evaluate.prediction_grid("model", SPLIT, LABELS, NAMES),
    "ranking": lambda: model_figures.ranking(MODELS),
    "ranking without intervals": lambda: model_figures.ranking([without_intervals(model) for model in MODELS]),
    "learning curves": lambda: model_figures.learning_curves(MODELS),
    "ROC": lambda: model_figures.roc(CURVES),
    "reliability": lambda: model_figures.reliability(MODELS),
}


def png(figure: Figure, path: Path) -> bytes:
    figures.save(figure, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Callable[[str], tuple[Figure, Path]]:
    """One of the figures, and its file."""

    @cache
    def drawn(name: str) -> tuple[Figure, Path]:
        figure, path = FIGURES[name](), tmp_path_factory.mktemp("drawn") / "a.png"
        figures.save(figure, path)
        return figure, path

    return drawn


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_the_same_bytes_whatever_the_users_settings(drawn, name, tmp_path):
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 9}):
        other = png(FIGURES[name](), tmp_path / "b.png")
    assert other == drawn(name)[1].read_bytes()


@pytest.mark.parametrize("name", ["ranking", "samples"])
def test_a_figure_has_no_background(drawn, name):
    opacity = matplotlib.image.imread(drawn(name)[1])[..., 3]
    assert opacity[0].max() == opacity[-1].max() == 0
    assert (opacity == 0).mean() > 0.1


def luminance(colour: object) -> float:
    """As the Web Content Accessibility Guidelines 2.2 define it."""
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(colour: object, page: str) -> float:
    dark, light = sorted((luminance(colour), luminance(page)))
    return (light + 0.05) / (dark + 0.05)


PAGES = ("#ffffff", "#0d1117")  # GitHub's
LEAST = 3  # of graphics, by the same guidelines


@pytest.mark.parametrize("name", FIGURES)
def test_texts_axes_and_lines_of_a_figure_stand_out_from_a_light_and_a_dark_page(drawn, name):
    figure, _ = drawn(name)
    colours = {text.get_color() for text in figure.findobj(Text) if text.get_text()}
    for axis in figure.axes:
        colours |= {spine.get_edgecolor()[:3] for spine in axis.spines.values()}
        colours |= {line.get_color() for line in axis.lines}
    assert min(contrast(colour, page) for colour in colours for page in PAGES) >= LEAST


@pytest.mark.parametrize("colour", figures.COLOURS)
def test_a_colour_stands_out_from_a_light_and_a_dark_page(colour):
    assert min(contrast(colour, page) for page in PAGES) >= LEAST


COLOURED = re.compile(r'"color": \{\s*"field": "model"')
TEMPLATES = [path for path in (ROOT / ".dvc/plots").glob("*.json") if COLOURED.search(path.read_text())]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_plot_of_all_models_gives_them_the_colours_of_the_figures(path):
    colour = json.loads(path.read_text(encoding="utf-8"))["encoding"]["color"]
    assert (colour["sort"], tuple(colour["scale"]["range"])) == (None, figures.COLOURS)


def noise(count: int) -> np.ndarray:
    """Images of 32 pixels with the noise of the synthetic ones, which nothing compresses."""
    return np.random.default_rng(0).normal(128, 16, (count, 32, 32, 3)).astype(np.uint8)


GRIDS = {
    "predictions": lambda split: evaluate.prediction_grid("model", split, split.labels, NAMES),
    "samples": lambda split: eda_figures.samples("train", split, NAMES, 0),
    "near duplicates": lambda split: eda_figures.near_duplicates(
        {"train": split, "test": split}, Pairs(*3 * [np.arange(98).reshape(-1, 2)]), NAMES, 0
    ),
}


@pytest.mark.parametrize("draw", GRIDS.values(), ids=GRIDS)
def test_a_grid_of_images_takes_less_than_200_kb(draw, tmp_path):
    assert len(png(draw(Split(noise(99), np.arange(99, dtype=np.uint8) % 3)), tmp_path / "a.png")) < 200_000


def test_a_pair_of_near_duplicates_stands_under_its_splits_and_its_labels():
    figure = eda_figures.near_duplicates(SPLITS, PAIRS, NAMES, 0)
    titles = {text.get_text() for text in figure.axes[0].texts}
    assert titles == {"train · train\naccuracy", "train · train\naccuracy · macro avg", "train · test\n$_$"}


def test_without_near_duplicates_there_is_no_figure_of_them():
    assert eda_figures.near_duplicates(SPLITS, Pairs(*3 * [np.zeros((0, 2), int)]), NAMES, 0) is None


def test_more_models_than_colours_have_lines_of_their_own():
    curves = {f"cnn{number}": CURVES["best"] for number in range(2 * len(figures.COLOURS))}
    lines = model_figures.roc(curves).axes[0].lines[:-1]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(curves)


def test_every_model_has_a_reliability_diagram_and_no_axes_more():
    models = [ranked(f"cnn{number}", 0.8) for number in range(5)]
    axes = model_figures.reliability(models).axes
    assert [axis.get_title() for axis in axes if axis.axison] == [model.name for model in models]


def extents(figure: Figure, texts: list) -> list[tuple[float, float, float, float]]:
    """Left, bottom, right and top of each text, in dots."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [text.get_window_extent(renderer).extents for text in texts]


def many(classes: int) -> Split:
    return Split(np.zeros((2 * classes, 4, 4, 3), np.uint8), np.arange(2 * classes, dtype=np.uint8) % classes)


@pytest.mark.parametrize("classes", [2, 60])
@pytest.mark.parametrize("draw", [eda_figures.label_counts, eda_figures.label_shares], ids=["counts", "shares"])
def test_labels_of_classes_stand_one_below_the_other_however_many_there_are(draw, classes):
    split = many(classes)
    figure = draw({"train": split, "test": split}, [f"name {label}" for label in range(classes)])
    boxes = extents(figure, figure.axes[0].get_yticklabels())
    assert len(boxes) == classes
    for (_, bottom, _, _), (_, _, _, top) in itertools.pairwise(boxes):
        assert top < bottom


def test_titles_of_a_grid_stand_side_by_side_however_long_the_names_are():
    names = [f"a class with a name as long as is allowed, but with number {label}" for label in range(9)]
    figure = eda_figures.mean_images(Split(SPLIT.images, np.arange(9, dtype=np.uint8)), names)
    boxes = extents(figure, figure.axes[0].texts[:5])  # a row
    for (_, _, right, _), (left, _, _, _) in itertools.pairwise(boxes):
        assert right < left


def test_a_grid_is_about_as_wide_as_high_however_many_images_it_has():
    figure = figures.image_grid(np.zeros((100, 4, 4, 3), np.uint8), ["title"] * 100, [figures.INK] * 100, 5, "heading")
    assert 0.5 < figure.get_figwidth() / figure.get_figheight() < 2


def test_images_of_a_grid_stand_under_their_titles():
    figure = figures.image_grid(SPLIT.images, [f"title {row}" for row in range(9)], [figures.INK] * 9, 4, "heading")
    axis = figure.axes[0]
    for text, image in zip(axis.texts, axis.images, strict=True):
        left, right, bottom, top = image.get_extent()
        x, y = text.get_position()
        assert left < x < right
        assert y < top < bottom


def test_a_wrong_prediction_is_shown_in_red_with_the_true_class():
    predicted = LABELS.copy()
    predicted[1] = 0
    figure = evaluate.prediction_grid("model", SPLIT, predicted, NAMES)
    texts = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert texts == {
        "accuracy": figures.RIGHT,
        "macro avg": figures.RIGHT,
        "$_$": figures.RIGHT,
        "accuracy\n(macro avg)": figures.WRONG,
    }


TURNS = {
    "fewer than there are": ([0, 0, 0, 1, 1, 2], 4, [0, 3, 5, 1]),
    "more than there are": ([0, 1, 1], 9, [0, 1, 2]),
}


@pytest.mark.parametrize(("labels", "count", "rows"), TURNS.values(), ids=TURNS)
def test_classes_take_turns_in_a_grid(labels, count, rows):
    split = Split(np.zeros((len(labels), 1, 1, 3), np.uint8), np.array(labels, np.uint8))
    assert figures.first_of_each_class(split, 3, count).tolist() == rows


def test_classes_whose_names_the_font_lacks_have_numbers(tmp_path, recwarn):
    figure = eda_figures.label_counts(SPLITS, ["飞机", "cat", "鸟"])
    figures.save(figure, tmp_path / "a.png")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["class 0", "cat", "class 2"]
    assert not recwarn.list
