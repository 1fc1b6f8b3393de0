"""Packages come from where pip is configured to find them, although uv installs them."""

import runpy

import pytest
from project import ROOT

install = runpy.run_path(str(ROOT / ".ci/install.py"))
CASES = {
    "nothing configured": ("", {}),
    "a mirror": ("global.index-url='https://mirror/simple'\n", {"UV_DEFAULT_INDEX": "https://mirror/simple"}),
    "two more indexes": (
        "global.extra-index-url='\\nfile:///one\\nfile:///two'\n",
        {"UV_INDEX": "file:///one file:///two"},
    ),
    "two folders of wheels": ("global.find-links='/one /two'\n", {"UV_FIND_LINKS": "/one,/two"}),
    "the environment over the file": (
        ":env:.index-url='https://variable'\nglobal.index-url='https://file'\n",
        {"UV_DEFAULT_INDEX": "https://variable"},
    ),
    "a proxy": ("global.proxy='http://proxy:3128'\n", {"ALL_PROXY": "http://proxy:3128"}),
    "a certificate": ("global.cert='/certificate.pem'\n", {"SSL_CERT_FILE": "/certificate.pem"}),
    "what uv does not need": ("global.disable-pip-version-check='1'\nfreeze.all='true'\n", {}),
}


@pytest.mark.parametrize(("listed", "environment"), CASES.values(), ids=CASES)
def test_the_settings_of_pip_reach_uv(listed, environment):
    assert install["uv_environment"](install["settings"](listed)) == environment


def test_what_installs_and_builds_the_packages_is_in_both_locks_with_its_hashes():
    for lock in ("requirements.txt", "requirements-extras.txt"):
        entries = install["BOOTSTRAP"].findall((ROOT / lock).read_text(encoding="utf-8"))
        assert [entry.partition("==")[0] for entry in entries] == ["setuptools", "uv"]
        assert all("--hash=sha256:" in entry for entry in entries)
