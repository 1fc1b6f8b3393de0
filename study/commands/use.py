"""Write the values of a study that studies.yaml names into params.yaml, whose comments stay."""

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

from study.base import files
from study.base.runtime import UserError
from study.params import load

STUDIES = "studies.yaml"


def main(name: str | None, data: str | None, bfloat16: bool) -> None:
    """Change params.yaml and print each change; without a name, print which study params.yaml has.

    `data` is an .npz file to take the place of the study's images. With `bfloat16`, models train in mixed_bfloat16.
    Raises UserError if the study or the file does not exist, if an option has no study, or if params.yaml cannot take
    the values.
    """
    studies, params = read_studies(), load.read_yaml(load.FILE)
    if name is None:
        if data or bfloat16:
            raise UserError(f"--data and --bfloat16 need a study; allowed: {', '.join(studies)}")
        lines = [summary(studies, params)]
    else:
        if name not in studies:
            raise UserError(f"{STUDIES} has no study {name}; allowed: {', '.join(studies)}")
        values = studies[name] | (values_of_data(data) if data else {})
        if bfloat16:
            values |= {key: "mixed_bfloat16" for key in values if key.endswith(".precision")}
        changes = differences(params, values)
        load.parse(changed(deepcopy(params), changes))
        write(changes)
        lines = [f"{key}: {get(params, key)} -> {value}" for key, value in changes.items()]
        lines += [f"{load.FILE} has the values of {name}; `dvc exp run` runs it, and -S changes single values"]
    print("\n".join(lines))


def read_studies() -> dict[str, dict[str, Any]]:
    """Per study, the value of each param by its dotted key. Raises UserError if a row has too few or many."""
    content = load.read_yaml(STUDIES, anchors=True)
    try:
        studies = list(zip(content["studies"], zip(*content["params"].values(), strict=True), strict=True))
        return {name: dict(zip(content["params"], values, strict=True)) for name, values in studies}
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError(f"{STUDIES}: each of its params needs one value per study") from None


def values_of_data(data: str) -> dict[str, str]:
    """The params that name an .npz file. Raises UserError if there is none."""
    path = Path(os.path.expanduser(data))  # noqa: PTH111 (Path.expanduser raises for a user that is not there)
    if not path.is_file():
        raise UserError(f"{data}: is no file; --data takes an .npz, as params.yaml describes it at data.source")
    return {"data.source": "npz", "data.path": data, "data.sha256": files.sha256(path)}


def differences(params: dict, values: dict[str, Any]) -> dict[str, Any]:
    """The values that params.yaml lacks, without those of models that it does not have."""
    lacking = {key: value for key, value in values.items() if get(params, key) != value}
    return {key: value for key, value in lacking.items() if isinstance(get(params, key.rpartition(".")[0]), dict)}


def summary(studies: dict[str, dict[str, Any]], params: dict) -> str:
    """The study that params.yaml has, or the nearest and what differs from it."""
    by_study = {name: differences(params, values) for name, values in studies.items()}
    nearest = min(by_study, key=lambda name: len(by_study[name]))
    lines = [f"{key}: {get(params, key)}, not {value}" for key, value in by_study[nearest].items()]
    return "\n".join([f"{load.FILE} has the values of {nearest}{' but for these:' if lines else ''}", *lines])


def get(params: Any, key: str) -> Any:
    """The value at a dotted key; None if there is none."""
    for part in key.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def changed(params: dict, values: dict[str, Any]) -> dict:
    """The same params, in which the values of these dotted keys are set."""
    for key, value in values.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        section[last] = value
    return params


def write(values: dict[str, Any]) -> None:
    """Change the file as `dvc exp run -S` does."""
    from dvc.utils.serialize import modify_yaml

    with modify_yaml(load.FILE) as params:
        changed(params, values)
