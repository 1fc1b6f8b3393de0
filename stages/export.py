"""export NAME: write a model as ONNX and compare it with the `.keras` file on the test images.

Reads models/NAME.keras, data/test.npz, data/predictions/NAME.npz and the param `threads`; writes models/NAME.onnx and
metrics/onnx/NAME.json. No stage of the root's dvc.yaml: `dvc repro export/dvc.yaml` runs it.
"""

import sys

from study.base import runtime
from study.base.runtime import UserError
from study.params.load import load
from study.serving.export import export


def main(*names: str) -> None:
    if len(names) != 1:
        raise UserError("export takes the name of one model: python -m stages.export best")
    params = load("threads")
    runtime.use_threads(params.threads)
    export(names[0], params.threads)


if __name__ == "__main__":
    runtime.run(main, *sys.argv[1:])
