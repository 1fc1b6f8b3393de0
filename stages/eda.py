"""eda: what the data are and what is wrong with them.

Reads data/raw.npz and the param `data`; writes metrics/eda.json and, to plots/eda, figures of label counts and shares,
labelled samples, the mean image of each class, pixel histograms and near duplicates.
"""

from study.base import files, runtime
from study.cleaning import near_duplicates
from study.data import arrays
from study.drawing import figures
from study.eda import eda_figures, summary
from study.params.load import load


def main() -> None:
    params = load("data")
    train, test, class_names, *_ = arrays.read_raw()
    splits = {"train": train, "test": test}
    shares = {name: summary.pixel_shares(split) for name, split in splits.items()}
    near = near_duplicates.pairs(train, test)
    files.write_json("metrics/eda.json", summary.summary(train, test, class_names, shares, near.faults(train)))
    drawn = {
        "label_counts": eda_figures.label_counts(splits, class_names),
        "label_shares": eda_figures.label_shares(splits, class_names),
        "samples_train": eda_figures.samples("train", train, class_names, params.data.seed),
        "samples_test": eda_figures.samples("test", test, class_names, params.data.seed),
        "mean_images": eda_figures.mean_images(train, class_names),
        "pixel_histograms": eda_figures.pixel_histograms(shares),
        "near_duplicates": eda_figures.near_duplicates(splits, near, class_names, params.data.seed),
    }
    for name, figure in drawn.items():
        if figure:
            figures.save(figure, f"plots/eda/{name}.png")


if __name__ == "__main__":
    runtime.run(main)
