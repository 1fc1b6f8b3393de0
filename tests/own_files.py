"""Files, links and folders of a user beside everything that the pipeline writes."""

import shutil
from pathlib import Path

FOLDERS = [
    *("", "data", "data/predictions", "models", "models/repeats", "metrics", "metrics/images", "metrics/test"),
    *("metrics/validation", "plots", "plots/predictions", "reports", "checkpoints", "checkpoints/imagenet"),
    *("checkpoints/best", "checkpoints/tune", "dvclive", "dvclive/plots/metrics", "live_metrics", "live_metrics/own"),
    *("dvc_plots"),
]
OWN = "own"  # what all of them are called


def plant(repository: Path, outside: Path) -> None:
    """Put a file, a folder with a file, an empty folder, and links to a file and a folder outside beside outputs."""
    for folder in (outside, *(repository / name for name in FOLDERS)):
        (folder / OWN / "empty").mkdir(parents=True)
        (folder / OWN / "lock").write_text(OWN)
        (folder / f"{OWN}.weights.h5").write_text(OWN)
        if folder != outside:
            (folder / f"{OWN}-file").symlink_to(outside / f"{OWN}.weights.h5")
            (folder / f"{OWN}-folder").symlink_to(outside)


def lost(repository: Path, outside: Path) -> list[str]:
    """What is not as it was planted."""
    whole = {}
    for folder in (outside, *(repository / name for name in FOLDERS)):
        whole[folder / OWN / "empty"] = (folder / OWN / "empty").is_dir()
        for path in (folder / OWN / "lock", folder / f"{OWN}.weights.h5"):
            whole[path] = path.is_file() and path.read_text() == OWN
        if folder != outside:
            for path, target in ((f"{OWN}-file", outside / f"{OWN}.weights.h5"), (f"{OWN}-folder", outside)):
                whole[folder / path] = (folder / path).is_symlink() and (folder / path).readlink() == target
    return [str(path) for path, is_whole in whole.items() if not is_whole]


def take_away(repository: Path) -> None:
    """Remove what was planted, and the folders in which nothing else lies."""
    for folder in (repository / name for name in reversed(FOLDERS)):
        shutil.rmtree(folder / OWN, ignore_errors=True)
        for name in (f"{OWN}.weights.h5", f"{OWN}-file", f"{OWN}-folder"):
            (folder / name).unlink(missing_ok=True)
        while folder != repository and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
