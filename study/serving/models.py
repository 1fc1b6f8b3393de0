"""The models that a command line names, by their files in any folder or by their names in models/."""

import os
import sys
from pathlib import Path

from study.base import files
from study.base.runtime import UserError
from study.serving import onnx_file
from study.serving.keras_model import KerasModel
from study.serving.onnx_file import OnnxModel

FOLDER = Path("models")
EXPORTED, TRAINED = ".onnx", ".keras"


def load(name: str) -> OnnxModel | KerasModel:
    """The model of a file; for a name without an extension, the ONNX file, if it can be used and was made of the
    `.keras` file that is there, or if there is no other."""
    file = find(name)
    trained = file.with_suffix(TRAINED)
    if file.suffix == EXPORTED and not name.endswith(EXPORTED) and trained.is_file():
        if onnx_file.is_installed():
            model = onnx_file.read(file)
            if model.source == files.sha256(trained):
                return model
            remedy = f"`python -m study export {name}` renews it"
            print(f"note: {file} was made of another {trained}, which is used; {remedy}", file=sys.stderr)
        return KerasModel.read(trained)
    return onnx_file.read(file) if file.suffix == EXPORTED else KerasModel.read(file)


def find(name: str) -> Path:
    """The file of a model; of a name without an extension, the ONNX file, if it is there.

    `best`, `models/best`, `best.keras` and `models/best.keras` all mean a model in models/, but a file of the very name
    that was given, extension and all, comes first. Raises UserError if there is none.
    """
    given = Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises for a user that is not there)
    if given.suffix in (EXPORTED, TRAINED):
        places = [given, FOLDER / given]
    else:
        places = [Path(f"{place}{end}") for place in (FOLDER / given, given) for end in (EXPORTED, TRAINED)]
    if file := next(filter(Path.is_file, places), None):
        return file
    for file in places:
        if files.broken_link(file):
            raise files.missing(file)
        if file.suffix == EXPORTED and (trained := file.with_suffix(TRAINED)).is_file():
            raise UserError(f"{file}: is missing; `python -m study export {trained}` makes it")
        if files.is_output(file):
            raise UserError(f"{file}: is missing; `dvc repro` makes it, `dvc pull {file}` gets it from a remote")
    here = ", ".join(sorted({file.stem for file in FOLDER.glob("*.*") if file.suffix in (EXPORTED, TRAINED)}))
    what = "is a folder" if given.is_dir() else "is no .keras or .onnx file" if given.is_file() else "is no model"
    raise UserError(f"{given}: {what}; {f'models/ has {here}' if here else '`dvc repro` makes models'}")
