"""What is installed and run from elsewhere is pinned, and an archive or a model cannot do more than hold data."""

import io
import re
import tarfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import project
import pytest
from project import ROOT
from ruamel.yaml import YAML

from study.base import files
from study.base.runtime import UserError
from study.model_files import keras_file
from study.sources import download, images_of

FOREIGN = re.compile(r"\b(curl|wget|docker|npx|npm|pipx?|uvx?|conda|apt(-get)?|git clone)\b.*")


def tracked(*folders: str) -> list[str]:
    """Files of these folders that git has, or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    return sorted(filter(None, project.shell(ROOT, *command).stdout.split("\0")))


INSTALL = ".ci/install.py"  # both of its commands require hashes
GITHUB, SCRIPTS = tracked(".github"), [*(path for path in tracked(".ci") if path != INSTALL), "Makefile"]
WORKFLOWS = [ROOT / name for name in GITHUB if Path(name).suffix in {".yml", ".yaml"}]


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-extras.txt"])
def test_every_requirement_is_locked_with_hashes_and_names_no_index(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-zA-Z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[\w.\-\[\]]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert set(re.findall(r"--[a-z-]+", text)) == {"--hash"}
    assert "://" not in text
    assert (ROOT / INSTALL).read_text(encoding="utf-8").count('"--require-hashes"') == 2


def test_extras_change_no_version_of_what_the_pipeline_needs():
    base, extras = (
        set(re.findall(r"^[\w.-]+==[^\\\n]+", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE))
        for lock in ("requirements.txt", "requirements-extras.txt")
    )
    assert base < extras


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request) -> dict:
    """Each of the workflows. YAML 1.2 reads the key `on` as text."""
    return YAML(typ="safe").load(request.param.read_text(encoding="utf-8"))


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_workflows_pin_actions_by_commit_and_keep_no_credentials(workflow):
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"])
        if "actions/checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_what_an_event_says_does_not_become_code(workflow):
    for step in steps(workflow):
        for code in (step.get("run", ""), step.get("shell", ""), step.get("with", {}).get("script", "")):
            assert "${{" not in code


def test_workflows_end(workflow):
    assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())


def test_a_workflow_that_runs_code_of_a_pull_request_may_only_read(workflow):
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    if "pull_request" in workflow["on"]:
        assert [job["permissions"] for job in workflow["jobs"].values()] == [{"contents": "read"}]


def test_a_workflow_that_may_write_runs_no_code_of_the_repository(workflow):
    """It has no action, so no checkout, and no secret but the token of its run."""
    writing = [job for job in workflow["jobs"].values() if "write" in job["permissions"].values()]
    if writing:
        assert set(workflow["on"]) == {"workflow_run"}
    for job in writing:
        assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
        for step in job["steps"]:
            assert "uses" not in step
            assert not re.search(r"\b(git|make|python3?|npm|pip)\b", step["run"].replace("github-actions", ""))
            assert "secrets." not in str(step)


def test_one_workflow_may_write():
    texts = [path.read_text(encoding="utf-8") for path in WORKFLOWS]
    assert sum(": write" in text for text in texts) == 1


def test_workflows_name_no_code_without_a_pinned_commit(workflow):
    for job in workflow["jobs"].values():
        assert not {"uses", "container", "services", "secrets"} & set(job)


def test_workflows_start_by_known_events(workflow):
    """`pull_request_target` would run code of a pull request with the rights of the repository."""
    assert set(workflow["on"]) <= {"push", "pull_request", "schedule", "workflow_dispatch", "workflow_run"}


def test_there_are_workflows_and_nothing_else_that_github_runs():
    assert [name for name in GITHUB if Path(name).parent != Path(".github/workflows")] == []
    assert len(WORKFLOWS) == len(GITHUB) > 0


# The browser of a test, from Debian's own servers, whose packages apt-get takes only if they are signed.
BROWSER = ["apt-get >/dev/null; then", "apt-get update -qq", "apt-get install -qq --no-install-recommends chromium"]


def test_scripts_install_the_locked_packages_and_a_browser_of_debian_and_fetch_nothing_else():
    """`make lock` resolves; it installs nothing."""
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in SCRIPTS).replace("\\\n", " ")
    fetching = {
        found[0].strip() for found in FOREIGN.finditer(re.sub("^ *#.*|##.*|`.*`", "", text, flags=re.MULTILINE))
    }
    others = {line for line in fetching if "--require-hashes" not in line and "uv pip compile" not in line}
    assert others == set(BROWSER)


def test_hooks_download_nothing():
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("../outside", id="above"),
        pytest.param("/tmp/outside", id="absolute"),
        pytest.param("folder/inner", id="below"),
    ],
)
def test_an_npz_entry_with_a_path_is_neither_read_nor_written(tmp_path, name):
    arrays = {**dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), np.zeros(2)), name: np.zeros(1)}
    path = tmp_path / "folder" / "own.npz"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{key}.npy", buffer.getvalue())
    assert sorted(images_of.npz(str(path), files.sha256(path))) == ["x_test", "x_train", "y_test", "y_train"]
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == ["own.npz"]


def test_a_cifar10_archive_that_leaves_its_folder_is_refused(tmp_path, monkeypatch):
    """Keras' own download and extraction, given an archive of ours in place of the one it pins by hash."""
    from keras.src.datasets import cifar10

    home = tmp_path / "home"
    home.mkdir()  # else Keras takes a folder outside tmp_path
    archive = tmp_path / "evil.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("../../outside", "cifar-10-batches-py/data_batch_1"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"evil"))
    get_file = keras.utils.get_file
    monkeypatch.setattr(download, "fetch", lambda *_: archive)

    def local(fname, origin, file_hash, **options):
        return get_file(fname, archive.as_uri(), file_hash=files.sha256(archive), cache_dir=home, **options)

    monkeypatch.setattr(cifar10, "get_file", local)
    with pytest.raises(UserError, match="data.source cifar10 cannot be"):
        images_of.cifar10()
    assert list(home.rglob("data_batch_1"))
    assert not list(tmp_path.rglob("outside"))


def test_a_cifar10_archive_of_another_hash_is_refused(tmp_path, monkeypatch):
    from keras.src.datasets import cifar10

    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "other.tar.gz").write_bytes(b"not the archive")
    get_file = keras.utils.get_file
    monkeypatch.setattr(download, "fetch", lambda *_: None)

    def local(origin, **options):
        return get_file(origin=(tmp_path / "other.tar.gz").as_uri(), cache_dir=home, **options)

    monkeypatch.setattr(cifar10, "get_file", local)
    with pytest.raises(UserError, match="data.source cifar10 cannot be .* file hash does not match"):
        images_of.cifar10()


def test_a_model_with_a_lambda_layer_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(UserError, match=r"model\.keras: cannot be loaded"):
        keras_file.read(tmp_path / "model.keras")


def test_a_model_that_asks_for_a_function_of_another_module_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("relu")])
    model.save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as source, zipfile.ZipFile(tmp_path / "evil.keras", "w") as target:
        for name in source.namelist():
            content = source.read(name).decode("utf-8", "surrogateescape")
            if name == "config.json":
                assert '"activation": "relu"' in content
                evil = '{"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}'
                content = content.replace('"activation": "relu"', f'"activation": {evil}')
            target.writestr(name, content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"evil\.keras: cannot be loaded"):
        keras_file.read(tmp_path / "evil.keras")
