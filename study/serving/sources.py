"""The image files that a command line names: files, folders, patterns and standard input."""

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from study.base.runtime import first_line
from study.sources.folder import is_left_behind

STDIN = "-"
Refuse = Callable[[str, str], None]  # of a name, and what is wrong with it


def expand(arguments: list[str], refuse: Refuse) -> Iterator[tuple[str, Path | BinaryIO]]:
    """The name and the source of each image, in the order of the arguments.

    A folder gives its files and those in its folders, by name, but what `data.folder` ignores too. A pattern, if no
    file has its name, gives what matches it, by name. What gives no file is refused.
    """
    for argument in arguments:
        try:
            yield from _sources(argument, refuse)
        except (OSError, RecursionError) as error:  # closed standard input, a pattern of a thousand folders
            refuse(argument, getattr(error, "strerror", None) or first_line(error))


def _sources(argument: str, refuse: Refuse) -> Iterator[tuple[str, Path | BinaryIO]]:
    if argument == STDIN:
        yield argument, open(0, "rb", closefd=False)  # noqa: SIM115 (it stays open)
    elif not argument:
        refuse("''", "is no name of a file")
    elif os.path.isdir(argument):  # noqa: PTH112 (False where Path.is_dir raises: no permission, too long a name)
        yield from _in_folder(argument, refuse)
    elif os.path.lexists(argument):
        yield argument, Path(argument)
    elif argument.startswith("~") and (expanded := os.path.expanduser(argument)) != argument:  # noqa: PTH111
        yield from _sources(expanded, refuse)
    elif "://" in argument:
        refuse(argument, "is an address; download the file and give its path")
    elif glob.has_magic(argument):
        yield from _matching(argument, refuse)
    else:
        yield argument, Path(argument)


def _in_folder(folder: str, refuse: Refuse) -> Iterator[tuple[str, Path]]:
    is_empty = True
    unreadable = lambda error: refuse(error.filename, error.strerror)  # noqa: E731 (os.walk calls it)
    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not is_left_behind(name))
        for path in (Path(place, name) for name in folders if (Path(place) / name).is_symlink()):
            refuse(str(path), "is a link to a folder, which is not followed; give the folder itself")
        for name in sorted(names):
            if not is_left_behind(name):
                is_empty = False
                yield str(Path(place, name)), Path(place, name)
    if is_empty:
        refuse(folder, "holds no file")


def _matching(pattern: str, refuse: Refuse) -> Iterator[tuple[str, Path]]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        refuse(pattern, "matches no file")
    for name in found:
        if os.path.isdir(name):  # noqa: PTH112 (as above)
            yield from _in_folder(name, refuse)
        else:
            yield name, Path(name)
