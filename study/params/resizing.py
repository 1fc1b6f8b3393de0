"""How images get the shape that models want."""

from typing import Literal, get_args

Resizing = Literal["stretch", "pad"]  # `stretch` changes their proportions, `pad` keeps them and adds black bars
RESIZINGS: tuple[str, ...] = get_args(Resizing)
