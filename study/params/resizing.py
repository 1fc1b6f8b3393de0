"""How images get the shape that models want."""

from typing import Literal, get_args

Fit = Literal["stretch", "pad"]  # `stretch` changes their proportions, `pad` keeps them and adds black bars
FITS: tuple[str, ...] = get_args(Fit)
