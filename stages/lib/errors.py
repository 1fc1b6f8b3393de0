"""How a stage ends when something the user can mend is wrong: one line on stderr, exit code 1."""

import socket
import sys
from collections.abc import Callable

NETWORK_TIMEOUT_SECONDS = 30


class UserError(Exception):
    """A fault the user can mend; the message, of one line, names the param or file, what was found, what is allowed."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def reason(error: Exception) -> str:
    """The first line of what an exception says, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def run(main: Callable[..., None], *args: str) -> None:
    """Call `main(*args)`; end with exit code 1 and one line for a fault of the user's or the system's."""
    socket.setdefaulttimeout(NETWORK_TIMEOUT_SECONDS)
    sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that lack a character of a table
    try:
        main(*args)
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        what = " ".join((error.strerror or str(error) or type(error).__name__).split())
        sys.exit(f"error: {error.filename or 'input or output'}: {what}; mend that, then `dvc repro` goes on from here")
    except Exception as error:
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's
            raise
        sys.exit("error: out of memory; a smaller batch_size or image_size needs less")
