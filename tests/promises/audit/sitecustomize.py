"""On PYTHONPATH it makes the processes of a stage write down what they open, in a file STAGE of the folder AUDIT.

A line is `read PATH` or `written PATH` for a file of the repository, or `loaded SECTION` for a section of params.yaml.
DVC gives stage and repository in DVC_STAGE and DVC_ROOT. Not seen is what compiled libraries open by themselves. Not
written down is what is opened to show how the work goes on: by DVCLive and study.display git, the graph and a folder of
their own. Nor is what study.base.inputs hashes to see whether it changes.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

LOADER = "study.params.load"
SHOWING = ("dvclive", "study.base.inputs", "study.display")


def audit(record: Path, root: Path) -> None:
    descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    known = set()

    def write(line: str) -> None:
        if line not in known:
            known.add(line)
            os.write(descriptor, f"{line}\n".encode())

    def hook(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path, _, flags = arguments
        path = Path(os.fsdecode(path)).resolve()
        if path.is_dir():  # shutil.rmtree opens folders, and tempfile for files without a name
            return
        if not path.is_relative_to(root) or any(map(shows, callers())):
            return
        name = path.relative_to(root)
        if flags & (os.O_WRONLY | os.O_RDWR):
            write(f"written {name}")
        elif path.is_file():
            write(f"read {name}")
        if name == Path("params.yaml"):
            for section in sections():
                write(f"loaded {section}")

    sys.addaudithook(hook)


def callers() -> Iterator[FrameType]:
    frame = sys._getframe()
    while frame := frame.f_back:
        yield frame


def shows(frame: FrameType) -> bool:
    """Whether a function of SHOWING runs, and not an import of it."""
    return module(frame).startswith(SHOWING) and frame.f_code.co_name != "<module>"


def module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def sections() -> tuple[str, ...]:
    """What the running `params.load` was asked for; "everything" where params.yaml is opened by other means."""
    for frame in callers():
        if module(frame) == LOADER and frame.f_code.co_name == "load":
            return frame.f_locals["sections"]
    return ("everything",)


if "AUDIT" in os.environ and "DVC_STAGE" in os.environ:
    audit(Path(os.environ["AUDIT"], os.environ["DVC_STAGE"]), Path(os.environ["DVC_ROOT"]).resolve())
