"""Templates are sound, and scripts do what the table says, against stand-ins."""

import argparse
import math
import os
import re
import shlex
import subprocess

import pytest
import yaml

from kdjax.__main__ import main
from kdjax.cli import reproduce
from kdjax.distributed.process_info import find_process_info
from kdjax.reproduce import sweeps
from tests.launch.standins import LAUNCH, LOST, ROOT, TRAIN

SCRIPTS = sorted(LAUNCH.glob("*.sh"))
PAGES = sorted(LAUNCH.glob("*.yaml"))
CONTAINERS = sorted(LAUNCH.glob("Containerfile.*"))
TEMPLATES = [LAUNCH / name for name in ("slurm.sh", "tpu_vm.sh", "xpk.sh")]
TEMPLATES += PAGES + CONTAINERS


def name_of(path):
    return path.name


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_is_bash_and_can_be_run(path):
    subprocess.run(["bash", "-n", path], check=True)
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_a_template_is_short_and_trains(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert re.search(r"-m[\s,\"']+kdjax", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_a_template_names_no_registry_and_no_secret(path):
    text = path.read_text()
    images = r"(?:image:|BASE=|--docker-image=|IMAGE=|-t) *(\S+)"
    for image in re.findall(images, text):
        assert "/" not in image, image
    assert "://" not in text
    assert not re.search(r"(?i)(token|password|api_?key|credential)s?\s*[=:]", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_configs_that_are_named_exist(path):
    for config in re.findall(r"configs/[\w/]+\.py", path.read_text()):
        assert (ROOT / config).exists()


def test_slurm_trains_and_passes_the_code_on(shell):
    for code in (0, 1, 2, 3, 4, 130):
        result, calls = shell("slurm.sh", [*TRAIN, "--x=y"], [code], SLURM_JOB_ID="7")
        assert result.returncode == code
        (call,) = calls
        assert call[0] == "srun" and call[-3:] == [*TRAIN, "--x=y"]
        assert call[5:8] == ["-m", "kdjax", "train"]
        # A task that is a little slower to leave would turn 42 into 143.
        assert "--kill-on-bad-exit=0" in call


@pytest.mark.parametrize("code", LOST)
def test_slurm_requeues_what_goes_on_until_the_budget_is_spent(shell, code):
    _, calls = shell("slurm.sh", TRAIN, [code], SLURM_JOB_ID="7")
    assert calls[1:] == [["scontrol", "requeue", "7"]]
    spent = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "100"}
    result, calls = shell("slurm.sh", TRAIN, [code], **spent)
    assert result.returncode == code and len(calls) == 1


def test_slurm_gives_a_task_its_cores(shell):
    """srun of Slurm 22.05 to 23.02 does not take over what sbatch was asked for."""
    _, (call,) = shell("slurm.sh", TRAIN, [0], SLURM_JOB_ID="7")
    assert "--cpus-per-task=1" in call
    more = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "16"}
    _, (call,) = shell("slurm.sh", TRAIN, [0], **more)
    assert "--cpus-per-task=16" in call


def test_a_task_of_an_array_is_a_seed_in_a_directory_of_its_own(shell):
    array = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    _, calls = shell("slurm.sh", TRAIN, [42], **array)
    assert calls[0][-2:] == ["--workdir=/runs/a b/seed-2", "--config.seed=2"]
    assert calls[1] == ["scontrol", "requeue", "7_2"]


def test_a_job_of_an_array_may_be_a_trial_of_a_sweep(shell):
    array = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "KDJAX": "sweep"}
    _, calls = shell("slurm.sh", [*TRAIN, "--trials=t"], [0], SLURM_JOB_ID="9", **array)
    assert "sweep" in calls[0]
    assert calls[0][-3:] == ["--workdir=/runs/a b", "--trials=t", "--trial=2"]


def test_slurm_asks_for_what_a_run_needs(shell):
    result, calls = shell("slurm.sh", TRAIN[:1], SLURM_JOB_ID="7")
    assert result.returncode == 2 and "--workdir" in result.stderr and not calls
    text = (LAUNCH / "slurm.sh").read_text()
    options = re.findall(r"^#SBATCH (--\S+)", text, re.M)
    assert {"--requeue", "--open-mode=append", "--signal=TERM@120"} <= set(options)
    # --nodes on the command line is then all that several hosts take.
    assert {"--nodes=1", "--ntasks-per-node=1", "--gpus-per-node=1"} <= set(options)
    assert not any(option.startswith("--ntasks=") for option in options)


def test_xpk_gets_the_command_as_one_word(shell):
    variables = {"CLUSTER": "c", "IMAGE": "i", "NAME": "n"}
    result, (call,) = shell("xpk.sh", TRAIN, [0], **variables)
    assert result.returncode == 0
    assert call[:3] == ["xpk", "workload", "create"]
    words = shlex.split(call[-1].removeprefix("--command="))
    assert words == ["python", "-m", "kdjax", "train", *TRAIN]


def jobset(name):
    """A JobSet's (spec, its job's spec, its pod's spec, the container)."""
    spec = yaml.safe_load((LAUNCH / name).read_text())["spec"]
    (job,) = spec["replicatedJobs"]
    inner = job["template"]["spec"]
    pod = inner["template"]["spec"]
    (container,) = pod["containers"]
    return spec, inner, pod, container


@pytest.mark.parametrize("name", ("gke_gpu.yaml", "gke_tpu.yaml"))
def test_jobset_stops_on_our_own_codes_and_restarts_on_others(name):
    spec, inner, pod, container = jobset(name)
    (rule,) = inner["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and inner["backoffLimit"] == 0
    assert rule["onExitCodes"]["values"] == [1, 2, 3, 4]
    # Kubernetes takes a podFailurePolicy with this policy only.
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] >= 120
    assert rule["onExitCodes"]["containerName"] == container["name"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    (fail,) = spec["failurePolicy"]["rules"]
    assert fail["onJobFailureReasons"] == ["PodFailurePolicy"]


def test_jobset_takes_all_hosts_of_a_slice_each_with_its_chips():
    _, inner, pod, container = jobset("gke_tpu.yaml")
    assert inner["parallelism"] == inner["completions"] == 4
    topology = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    chips = container["resources"]["limits"]["google.com/tpu"]
    assert math.prod(map(int, topology.split("x"))) == 4 * chips


def test_jobset_numbers_a_process_for_each_host_of_gpus():
    """By what the page sets, and what Kubernetes sets in each pod."""
    page = yaml.safe_load((LAUNCH / "gke_gpu.yaml").read_text())
    spec, inner, _, container = jobset("gke_gpu.yaml")
    assert inner["completionMode"] == "Indexed"
    variables = {row["name"]: row["value"] for row in container["env"]}
    flags = argparse.Namespace(coordinator=None, processes=None, process=None)
    infos = [
        find_process_info(flags, variables | {"JOB_COMPLETION_INDEX": str(number)})
        for number in range(inner["completions"])
    ]
    assert [info.process for info in infos] == list(range(inner["parallelism"]))
    # JobSet's names: its own, the job's and its number, the pod's; then its subdomain.
    name, (job,) = page["metadata"]["name"], spec["replicatedJobs"]
    address = f"{name}-{job['name']}-0-0.{name}"
    for info in infos:
        assert info.processes == inner["completions"] and info.devices is None
        assert info.coordinator.rpartition(":")[0] == address
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 8


def test_skypilot_recovers_on_our_code_and_its_commands_are_bash():
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    recovery = task["resources"]["job_recovery"]
    assert recovery["recover_on_exit_codes"] == [42]
    assert recovery["max_restarts_on_errors"] == 0
    for stage in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=task[stage], text=True, check=True)
    used = set(re.findall(r"\$(\w+)", task["setup"] + task["run"]))
    given = {f"SKYPILOT_{name}" for name in ("NODE_IPS", "NUM_NODES", "NODE_RANK")}
    assert used - task["envs"].keys() == given
    command = task["run"].replace("exec python3 -m kdjax", "env; true")
    output = subprocess.run(
        ["bash", "-c", command],
        env=dict(task["envs"])
        | dict.fromkeys(given, "2")
        | {"SKYPILOT_NODE_IPS": "10.0.0.7\n10.0.0.8", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "JAX_COORDINATOR_ADDRESS=10.0.0.7:8476\n" in output
    assert "JAX_NUM_PROCESSES=2\n" in output and "JAX_PROCESS_ID=2\n" in output


def test_skypilot_s_student_reads_the_teacher_that_its_first_lines_train():
    text = (LAUNCH / "skypilot.yaml").read_text()
    student = yaml.safe_load(text)["envs"]
    teacher = dict(re.findall(r"--env (\w+)=(\S*)", text))
    assert teacher.keys() <= student.keys()
    assert (ROOT / teacher["CONFIG"]).is_file() and (ROOT / student["CONFIG"]).is_file()
    assert student["OPTIONS"] == f"--config.teacher.workdir={teacher['WORKDIR']}"
    assert teacher["OPTIONS"] == "" and teacher["WORKDIR"] != student["WORKDIR"]


@pytest.mark.parametrize("path", CONTAINERS, ids=name_of)
def test_a_container_copies_what_is_there_and_passes_signals(path):
    lines = path.read_text().splitlines()
    for line in lines:
        if line.startswith("COPY"):
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
    assert any(line.startswith("USER ") for line in lines)
    # A list: no shell stands between SIGTERM and the training.
    assert 'ENTRYPOINT ["python", "-m", "kdjax", "train"]' in lines


def test_a_container_of_gpus_can_ask_kubernetes_for_its_rank():
    text = (LAUNCH / "Containerfile.gpu").read_text()
    assert "k8s" in re.search(r'"jax\[(.*?)\]', text)[1].split(",")


def test_the_table_of_studies_has_those_that_are_trained():
    text = (LAUNCH / "README.md").read_text().partition("| Study |")[2]
    studies = re.findall(r"^\| `(\S+)` \|", text, re.M)
    assert sorted(studies) == sorted([*reproduce.TRAINED, *sweeps.DATA_SETS])


def test_the_table_has_every_template_and_every_code(capsys):
    text = (LAUNCH / "README.md").read_text()
    for path in TEMPLATES:
        assert path.name in text, path.name
    assert main(["--help"]) == 0
    usage = capsys.readouterr().out.replace("\n", " ")
    codes = re.findall(r"(?:^|, |codes: )(\d+) ", usage)
    assert codes == ["0", "2", "3", "4", "42", "130", "1"]
    for code in codes:
        assert re.search(rf"^\|[^|]*\b{code}\b", text, re.M), code
