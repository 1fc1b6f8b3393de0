"""What a running training shows: DVCLive's record for `dvc exp show`, and its progress with the time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
from dvclive import Live
from scmrepo.exceptions import SCMError
from tqdm import tqdm

from study.base import checkpoints, files
from study.base.runtime import UserError
from study.display.progress import Estimate

Row = dict[str, float]  # of a history

FOLDER = Path("live_metrics")
# Written whole, for DVC runs nothing while one is cut. DVCLive's own grows by a line per epoch.
DVC_YAML = "metrics:\n- metrics.json\nplots:\n- plots/metrics:\n    x: step\n"


@contextmanager
def metrics(model: str) -> Iterator[Callable[[Row], None]]:
    """Yield a function that shows a row of history as metrics MODEL.… of the workspace; removed at the end.

    Raises UserError if another process trains the model in this workspace.
    """
    folder = FOLDER / model
    with checkpoints.hold(folder, f"trains {model} in this folder"):
        _remove(folder, model)  # a killed run's
        try:
            with Live(str(folder), resume=True, dvcyaml=None, report=None, save_dvc_exp=False) as live:

                def log(row: Row) -> None:
                    for key, value in row.items():
                        if key != "epoch":
                            live.log_metric(f"{model}/{key}", value)
                    live.next_step()
                    if not (folder / "dvc.yaml").exists():  # it names files that must be there
                        files.write_text(folder / "dvc.yaml", DVC_YAML)

                yield log
        except SCMError as error:
            raise UserError(f"git: {error}; DVC experiments need a first commit") from None
        finally:
            _remove(folder, model)
            (folder / checkpoints.LOCK).unlink(missing_ok=True)
            checkpoints.remove_empty(folder, FOLDER)


def _remove(folder: Path, model: str) -> None:
    """Remove what a run has shown, and the folders that then are empty."""
    curves = folder / "plots/metrics" / model
    for path in (folder / "dvc.yaml", folder / "dvc.yaml.partial", folder / "metrics.json", *curves.glob("*.tsv")):
        path.unlink(missing_ok=True)
    checkpoints.remove_empty(curves, folder / "plots/metrics", folder / "plots")


class Progress(keras.callbacks.Callback):
    """A bar in a terminal, one line per finished epoch in a log, each with the time that is left at most."""

    def on_train_begin(self, logs: Row | None = None) -> None:
        self.bar = tqdm(total=self.params["steps"], file=sys.stdout, leave=False, disable=not sys.stdout.isatty())
        self.estimate: Estimate | None = None

    def on_epoch_begin(self, epoch: int, logs: Row | None = None) -> None:
        self.estimate = self.estimate or Estimate(self.params["epochs"] - epoch)
        self.bar.reset()
        self.bar.set_description(f"epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Row | None = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: Row) -> None:
        scores = ", ".join(f"{key} {value:.4g}" for key, value in logs.items())
        self.bar.clear()
        left = self.estimate.finish()
        print(f"epoch {epoch + 1}/{self.params['epochs']}: {scores}; at most {left} left", flush=True)

    def on_train_end(self, logs: Row | None = None) -> None:
        self.bar.close()
