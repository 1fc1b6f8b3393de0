"""install LOCK: install the packages of a lock file into the environment of this Python, each checked by its hash.

uv does it in a tenth of pip's time. pip brings uv, from the same lock, and says where packages come from: uv does not
read pip's configuration, so its settings are handed on in uv's variables. Those that the user has set are left alone.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
UV = [sys.executable, "-m", "uv", "pip"]
# What pip installs: uv, and what builds packages that have no wheel.
BOOTSTRAP = re.compile(r"^(?:uv|setuptools)==.*\n(?:[ ]+.*\n)*", re.MULTILINE)
SETTING = re.compile(r"^(global|install|:env:)\.([a-z-]+)=(.*)$", re.MULTILINE)
SECTIONS = ("global", "install", ":env:")  # of pip's settings of one name, that of the last section holds
TRUE = ("1", "true", "yes", "on", "t", "y")  # as pip reads it
# pip's settings in uv's variables, with what separates several values there.
VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}


def main(lock: str) -> None:
    if find_spec("uv") is None:
        with tempfile.TemporaryDirectory() as folder:
            first = Path(folder, "bootstrap.txt")
            first.write_text("".join(BOOTSTRAP.findall(Path(lock).read_text(encoding="utf-8"))), encoding="utf-8")
            run(*PIP, "install", "--quiet", "--require-hashes", "--no-deps", "--requirement", str(first))
    configured = settings(subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False).stdout)
    run(
        *(*UV, "install", "--quiet", "--python", sys.executable, "--require-hashes", "--compile-bytecode"),
        *("--no-build-isolation", "--index-strategy", "unsafe-best-match", "--requirement", lock),
        *(["--no-index"] if configured.get("no-index", "0").lower() in TRUE else []),
        **(uv_environment(configured) | os.environ),
    )


def run(*command: str, **environment: str) -> None:
    """Run a command; end as it does if it fails. It has said why."""
    if code := subprocess.run(command, env=environment or None, check=False).returncode:
        sys.exit(code)


def settings(listed: str) -> dict[str, str]:
    """The settings that `pip config list` prints, a line `SECTION.NAME='VALUE'` each."""
    found = sorted(SETTING.findall(listed), key=lambda setting: SECTIONS.index(setting[0]))
    return {name: ast.literal_eval(value) for _, name, value in found}


def uv_environment(configured: dict[str, str]) -> dict[str, str]:
    """uv's variables for pip's settings."""
    return {
        variable: separator.join(configured[name].split())
        for name, (variable, separator) in VARIABLES.items()
        if configured.get(name)
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
