"""How a stage ends when something the user can mend is wrong: one line on stderr, exit code 1."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """A fault the user can mend; the message names the param or file, what was found, what is allowed."""


def run(main: Callable[..., None], *args: str) -> None:
    """Call `main(*args)`; end with exit code 1 and one line for a user's or the system's fault, 130 for Ctrl-C."""
    try:
        main(*args)
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("stopped; `dvc repro` starts this stage again", file=sys.stderr)
        sys.exit(130)
