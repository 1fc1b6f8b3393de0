"""What a running training shows: DVCLive's record for `dvc exp show`, and its progress with the time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
from dvclive import Live
from scmrepo.exceptions import SCMError
from tqdm import tqdm

from study.base import files
from study.base.runtime import UserError
from study.display.progress import Estimate

Row = dict[str, float]  # of a history

FOLDER = Path("dvclive")
# Written whole, for DVC runs nothing while one is cut. DVCLive's own grows by a line per epoch.
DVC_YAML = "metrics:\n- metrics.json\nplots:\n- plots/metrics:\n    x: step\n"


@contextmanager
def metrics(model: str) -> Iterator[Callable[[Row], None]]:
    """Yield a function that shows a row of history as metrics MODEL.… of the workspace; removed at the end."""
    try:
        with Live(str(FOLDER), dvcyaml=None, report=None, save_dvc_exp=False) as live:

            def log(row: Row) -> None:
                for key, value in row.items():
                    if key != "epoch":
                        live.log_metric(f"{model}/{key}", value)
                live.next_step()
                if not (FOLDER / "dvc.yaml").exists():  # it names files that must be there
                    files.write_text(FOLDER / "dvc.yaml", DVC_YAML)

            yield log
    except SCMError as error:
        raise UserError(f"git: {error}; DVC experiments need a first commit") from None
    finally:
        files.clear(FOLDER)


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
