"""What docs/scaling.md has a reader type or copy: certificates, Dask's configuration, a script for Slurm, files for
Kubernetes."""

import contextlib
import re
import runpy
import shlex
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import project
import pytest
from ruamel.yaml import YAML

from study.base.runtime import UserError
from study.cluster import client, worker

distributed = pytest.importorskip("distributed", reason="needs the extra cluster: make extras")
import dask  # noqa: E402 (once it is known to be there)

ROOT = project.ROOT
PAGE = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
KUBERNETES = ROOT / "docs/kubernetes"
PRELOAD = ["--preload", worker.__name__]
ONE_TRAINING = ["--nthreads", "1"]
ADDRESS = "tls://127.0.0.1:8786"  # of a scheduler, on the page


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def block(kind: str, part: str) -> str:
    """The one that contains a text."""
    (only,) = (block for block in blocks(kind) if part in block)
    return only


def commands(start: str) -> list[list[str]]:
    """The words of each shell command of the page that begins so, without variables and a final &."""
    lines = [re.sub(r"^(\w+=\S+ )+", "", line.strip()) for each in blocks("sh") for line in each.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(start)]


def contains(words: list[str], part: list[str]) -> bool:
    return any(words[start : start + len(part)] == part for start in range(len(words)))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """The folder that the commands of the page make in a home."""
    home = tmp_path_factory.mktemp("home")
    script = "set -e\n" + block("sh", "openssl x509")
    subprocess.run(["bash", "-c", script], env=project.environment(HOME=str(home)), check=True, capture_output=True)
    return home / "study-tls"


@pytest.fixture
def configured(certificates, monkeypatch) -> Iterator[Path]:
    """Dask with the configuration of the page, as DASK_CONFIG has it read."""
    path = certificates / "dask.yaml"
    monkeypatch.setenv("DASK_CONFIG", str(path))
    with dask.config.set(dask.config.merge(dask.config.config, dask.config.collect([str(path)], env={}))):
        yield path


@pytest.mark.parametrize("role", ["scheduler", "worker", "client"])
def test_dask_takes_the_certificates_of_the_page_for(role, configured):
    arguments = distributed.Security().get_connection_args(role)
    assert arguments["require_encryption"]
    assert arguments["ssl_context"].verify_mode == ssl.CERT_REQUIRED


def test_only_the_owner_enters_the_folder_of_the_key(certificates):
    assert certificates.stat().st_mode & 0o077 == 0


def test_the_page_and_the_cluster_of_kubernetes_configure_dask_alike(certificates, kubernetes):
    text = (certificates / "dask.yaml").read_text(encoding="utf-8").replace(str(certificates), "/tls")
    assert YAML(typ="safe").load(kubernetes["ConfigMap"]["data"]["dask.yaml"]) == YAML(typ="safe").load(text)


def test_every_worker_of_the_page_is_one_of_this_project():
    workers = commands("python -m dask worker")
    assert len(workers) == 1
    for words in workers:
        assert contains(words, PRELOAD) and contains(words, ONE_TRAINING), words
        assert words[4] == "tls://HOST:8786"


def connect() -> None:
    with client.connected():
        pass


def lost_scheduler() -> None:
    raise client.Workers(ADDRESS, None)._lost()


FAULTS = {
    "an address that others reach": (connect, {client.ADDRESS: "tcp://192.0.2.7:8786"}),
    "no certificates": (connect, {client.ADDRESS: ADDRESS}),
    "the scheduler is gone": (lost_scheduler, {}),
}


@pytest.mark.parametrize(("cause", "variables"), FAULTS.values(), ids=FAULTS)
def test_the_page_shows_the_line_of_a_fault(cause, variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as fault:
        cause()
    assert f"error: {fault.value} |" in PAGE


def test_a_job_of_slurm_starts_a_worker_of_this_project_that_finds_the_certificates(configured, tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="make extras")
    monkeypatch.chdir(tmp_path)
    settings = runpy.run_path(str(ROOT / "docs/slurm.py"))
    with contextlib.closing(settings["workers"]()) as slurm:
        address, job = slurm.scheduler_address, slurm.job_script()
    *_, folder, variable, started = job.strip().splitlines()
    assert folder == f"cd {tmp_path}"
    assert variable == f"export DASK_CONFIG={configured}"
    words = shlex.split(started)
    assert words[:4] == [".venv/bin/python", "-m", "distributed.cli.dask_worker", address]
    assert address.startswith("tls://")
    assert contains(words, PRELOAD) and contains(words, ONE_TRAINING)
    assert words[-2:] == ["--memory-limit", "0"]  # the last one counts
    assert {"#SBATCH --gres=gpu:1", "#SBATCH --cpus-per-task=2", "#SBATCH -n 1"} <= set(job.splitlines())
    assert settings["JOB"]["job_cpu"] == project.params()["threads"]


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, dict]:
    """The resources of docs/kubernetes/cluster.yaml by their kind."""
    text = (KUBERNETES / "cluster.yaml").read_text(encoding="utf-8")
    return {each["kind"]: each for each in YAML(typ="safe").load_all(text)}


@pytest.fixture(scope="module")
def containers(kubernetes) -> dict[str, dict]:
    """The container of the scheduler and that of a worker."""
    spec = kubernetes["DaskCluster"]["spec"]
    return {role: spec[role]["spec"]["containers"][0] for role in ("scheduler", "worker")}


def test_a_pod_of_a_worker_is_one_of_this_project(containers):
    words = containers["worker"]["command"]
    assert words[:4] == [".venv/bin/python", "-m", "dask", "worker"]
    assert contains(words, PRELOAD) and contains(words, ONE_TRAINING)


def test_a_worker_finds_the_scheduler_by_the_service_of_its_cluster(kubernetes, containers):
    name, service = (
        kubernetes["DaskCluster"]["metadata"]["name"],
        kubernetes["DaskCluster"]["spec"]["scheduler"]["service"],
    )
    address = f"tls://{name}-scheduler:{service['ports'][0]['port']}"  # as the operator names it
    assert containers["worker"]["command"][4] == address
    assert {"name": client.ADDRESS, "value": address} in containers["worker"]["env"]
    assert service["selector"]["dask.org/cluster-name"] == name
    assert f"service/{name}-scheduler {service['ports'][0]['port']}" in PAGE


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_a_pod_has_the_image_the_secret_and_the_configuration_that_the_page_makes(role, kubernetes, containers):
    container, configuration = containers[role], kubernetes["ConfigMap"]
    (build,) = commands("git archive")
    assert build[build.index("--tag") + 1] == container["image"]
    (secret,) = commands("kubectl create secret")
    volumes = {each["name"]: each for each in kubernetes["DaskCluster"]["spec"][role]["spec"]["volumes"]}
    mounts = {each["mountPath"]: volumes[each["name"]] for each in container["volumeMounts"]}
    assert mounts["/tls"]["secret"]["secretName"] == secret[4]
    files = {word.removeprefix("--from-file=") for word in secret if word.startswith("--from-file=")}
    assert {f"/tls/{name}" for name in files} == set(re.findall(r"/tls/[\w.]+", configuration["data"]["dask.yaml"]))
    assert mounts["/config"]["configMap"]["name"] == configuration["metadata"]["name"]
    assert {"name": "DASK_CONFIG", "value": "/config/dask.yaml"} in container["env"]


def test_the_image_has_the_locked_packages_of_the_extras():
    lines = (KUBERNETES / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = next(line for line in lines if line.startswith("COPY")).split()[1:-1]
    assert {"Makefile", "requirements.txt", "requirements-extras.txt"} == set(copied)
    assert "RUN make extras" in lines
    (build,) = commands("git archive")
    assert (ROOT / build[build.index("--file") + 1]) == KUBERNETES / "Dockerfile"
