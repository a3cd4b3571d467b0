"""Templates are sound, and scripts do what the table says, against stand-ins."""

import math
import os
import pathlib
import re
import shlex
import subprocess

import pytest
import yaml

from kdjax.__main__ import HELP

ROOT = pathlib.Path(__file__).parent.parent.parent
LAUNCH = ROOT / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
PAGES = sorted(LAUNCH.glob("*.yaml"))
CONTAINERS = sorted(LAUNCH.glob("Containerfile.*"))
TEMPLATES = [LAUNCH / name for name in ("slurm.sh", "tpu_vm.sh", "xpk.sh")]
TEMPLATES += PAGES + CONTAINERS
TRAIN = ["--config=configs/cifar100/kd.py", "--workdir=/runs/a b"]
# Writes its words down, one line a call, and exits with the next code of $CODES.
STAND_IN = """#!/usr/bin/env bash
printf '%q ' "$(basename "$0")" "$@" >> "$LOG"
echo >> "$LOG"
case "$(basename "$0") $*" in
  *describe*) cat "$STATE" 2>/dev/null; exit 0 ;;
  *create*--accelerator-type*) echo READY > "$STATE"; exit 0 ;;
  *delete*) rm "$STATE"; exit 0 ;;
  *'-m kdjax'*) ;;
  *) exit 0 ;;
esac
code=$(head -n 1 "$CODES")
sed -i 1d "$CODES"
[ "$code" = 255 ] && [ -n "${TAKEN:-}" ] && echo PREEMPTED > "$STATE"
exit "$code"
"""


def name_of(path):
    return path.name


@pytest.fixture
def shell(tmp_path):
    """Runs a script where srun, scontrol, gcloud and xpk are stand-ins."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("srun", "scontrol", "gcloud", "xpk"):
        (commands / name).write_text(STAND_IN)
        (commands / name).chmod(0o755)

    def run(script, words, codes=(), **variables):
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        log = tmp_path / "log"
        log.write_text("")
        path = f"{commands}{os.pathsep}{os.environ['PATH']}"
        files = {"LOG": log, "CODES": tmp_path / "codes", "STATE": tmp_path / "state"}
        result = subprocess.run(
            [LAUNCH / script, *words],
            env={"PATH": path, "WAIT": "0"}
            | {k: str(v) for k, v in files.items()}
            | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return result, [shlex.split(line) for line in log.read_text().splitlines()]

    return run


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_is_bash_and_can_be_run(path):
    subprocess.run(["bash", "-n", path], check=True)
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_a_template_is_short_and_trains(path):
    text = path.read_text()
    assert len(text.splitlines()) < 60
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
    for code in (0, 1, 2, 3, 4, 137):
        result, calls = shell("slurm.sh", [*TRAIN, "--x=y"], [code], SLURM_JOB_ID="7")
        assert result.returncode == code
        (call,) = calls
        assert call[0] == "srun" and call[-3:] == [*TRAIN, "--x=y"]
        assert call[4:7] == ["-m", "kdjax", "train"]
        # A task that is a little slower to leave would turn 42 into 143.
        assert "--kill-on-bad-exit=0" in call


def test_slurm_requeues_what_was_saved_until_the_budget_is_spent(shell):
    _, calls = shell("slurm.sh", TRAIN, [42], SLURM_JOB_ID="7")
    assert calls[1:] == [["scontrol", "requeue", "7"]]
    spent = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "100"}
    result, calls = shell("slurm.sh", TRAIN, [42], **spent)
    assert result.returncode == 42 and len(calls) == 1


def test_a_task_of_an_array_is_a_seed_in_a_directory_of_its_own(shell):
    array = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    _, calls = shell("slurm.sh", TRAIN, [42], **array)
    assert calls[0][-2:] == ["--workdir=/runs/a b/seed-2", "--config.seed=2"]
    assert calls[1] == ["scontrol", "requeue", "7_2"]


def test_a_job_of_an_array_may_be_a_row_of_a_sweep(shell):
    array = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "KDJAX": "sweep"}
    _, calls = shell("slurm.sh", [*TRAIN, "--rows=r"], [0], SLURM_JOB_ID="9", **array)
    assert "sweep" in calls[0]
    assert calls[0][-3:] == ["--workdir=/runs/a b", "--rows=r", "--row=2"]


def test_slurm_asks_for_what_a_run_needs(shell):
    result, calls = shell("slurm.sh", TRAIN[:1], SLURM_JOB_ID="7")
    assert result.returncode == 2 and "--workdir" in result.stderr and not calls
    text = (LAUNCH / "slurm.sh").read_text()
    options = re.findall(r"^#SBATCH (--\S+)", text, re.M)
    assert {"--requeue", "--open-mode=append", "--signal=TERM@120"} <= set(options)
    # --nodes on the command line is then all that several hosts take.
    assert {"--nodes=1", "--ntasks-per-node=1", "--gpus-per-node=1"} <= set(options)
    assert not any(option.startswith("--ntasks=") for option in options)


VM = {"NAME": "n", "ZONE": "z", "DISK": "d"}


def kinds(calls):
    """What is asked of gcloud, without the options."""
    return [call[4] for call in calls]


def test_a_vm_is_made_once_and_trains_until_it_is_finished(shell):
    result, calls = shell("tpu_vm.sh", TRAIN, [42, 255, 0], **VM)
    assert result.returncode == 0, result.stderr
    made = ["describe", "create", "ssh", "scp", "ssh", "ssh"]
    assert kinds(calls) == made + ["describe", "ssh"] * 2
    trained = [c[-1] for c in calls if "-m kdjax" in c[-1]]
    assert len(trained) == 3
    words = shlex.split(trained[0].removeprefix("--command="))
    assert words[-4:] == ["kdjax", "train", *TRAIN]


def test_every_host_of_a_vm_mounts_the_share_and_trains(shell):
    share = {"NAME": "n", "ZONE": "z", "SHARE": "10.0.0.2:/runs"}
    result, calls = shell("tpu_vm.sh", TRAIN, [0], **share)
    assert result.returncode == 0, result.stderr
    assert not any(word.startswith("--data-disk") for call in calls for word in call)
    for call in calls:
        assert call[4] in ("create", "describe") or "--worker=all" in call
    mounts = [call[-1] for call in calls if "mount" in call[-1]]
    assert len(mounts) == 1 and "mount 10.0.0.2:/runs /mnt/runs" in mounts[0]
    command = mounts[0].removeprefix("--command=")
    subprocess.run(["bash", "-n"], input=command, text=True, check=True)
    result, calls = shell("tpu_vm.sh", TRAIN, NAME="n", ZONE="z")
    assert result.returncode != 0 and "SHARE" in result.stderr and not calls


def test_a_vm_that_was_taken_away_is_replaced(shell):
    result, calls = shell("tpu_vm.sh", TRAIN, [255, 0], TAKEN="1", SPOT="1", **VM)
    assert result.returncode == 0, result.stderr
    assert kinds(calls).count("create") == 2 and kinds(calls).count("delete") == 1
    created = [call for call in calls if call[4] == "create"]
    assert all("--spot" in call for call in created)


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_what_no_restart_mends_stops_a_vm(shell, code):
    result, calls = shell("tpu_vm.sh", TRAIN, [code, 0], **VM)
    assert result.returncode == code
    assert sum("-m kdjax" in call[-1] for call in calls) == 1


def test_a_vm_is_given_up_when_the_budget_is_spent(shell):
    result, calls = shell("tpu_vm.sh", TRAIN, [42] * 9, RESTARTS="2", **VM)
    assert result.returncode == 42 and "given up after 2" in result.stderr
    assert sum("-m kdjax" in call[-1] for call in calls) == 3


def test_xpk_gets_the_command_as_one_word(shell):
    variables = {"CLUSTER": "c", "IMAGE": "i", "NAME": "n"}
    result, (call,) = shell("xpk.sh", TRAIN, [0], **variables)
    assert result.returncode == 0
    assert call[:3] == ["xpk", "workload", "create"]
    words = shlex.split(call[-1].removeprefix("--command="))
    assert words == ["python", "-m", "kdjax", "train", *TRAIN]


def test_jobset_stops_on_our_own_codes_and_restarts_on_others():
    spec = yaml.safe_load((LAUNCH / "gke_jobset.yaml").read_text())["spec"]
    (job,) = spec["replicatedJobs"]
    inner = job["template"]["spec"]
    (rule,) = inner["podFailurePolicy"]["rules"]
    pod = inner["template"]["spec"]
    assert rule["action"] == "FailJob" and inner["backoffLimit"] == 0
    assert rule["onExitCodes"]["values"] == [1, 2, 3, 4]
    # Kubernetes takes a podFailurePolicy with this policy only.
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] >= 120
    (container,) = pod["containers"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    # All hosts of the slice, each with its chips.
    assert inner["parallelism"] == inner["completions"] == 4
    topology = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    chips = container["resources"]["limits"]["google.com/tpu"]
    assert math.prod(map(int, topology.split("x"))) == 4 * chips
    (fail,) = spec["failurePolicy"]["rules"]
    assert fail["onJobFailureReasons"] == ["PodFailurePolicy"]


def test_skypilot_recovers_on_our_code_and_its_commands_are_bash():
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    recovery = task["resources"]["job_recovery"]
    assert recovery["recover_on_exit_codes"] == [42]
    assert recovery["max_restarts_on_errors"] == 0
    for part in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=task[part], text=True, check=True)
    used = set(re.findall(r"\$(\w+)", task["setup"] + task["run"]))
    given = {f"SKYPILOT_{name}" for name in ("NODE_IPS", "NUM_NODES", "NODE_RANK")}
    assert used - task["envs"].keys() == given
    told = task["run"].replace("exec python3 -m kdjax", "env; true")
    told = subprocess.run(
        ["bash", "-c", told],
        env=dict(task["envs"])
        | dict.fromkeys(given, "2")
        | {"SKYPILOT_NODE_IPS": "10.0.0.7\n10.0.0.8", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "JAX_COORDINATOR_ADDRESS=10.0.0.7:8476\n" in told
    assert "JAX_NUM_PROCESSES=2\n" in told and "JAX_PROCESS_ID=2\n" in told


@pytest.mark.parametrize("path", CONTAINERS, ids=name_of)
def test_a_container_copies_what_is_there_and_passes_signals(path):
    lines = path.read_text().splitlines()
    for line in lines:
        if line.startswith("COPY"):
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
    assert any(line.startswith("USER ") for line in lines)
    # A list: no shell stands between SIGTERM and the training.
    assert 'ENTRYPOINT ["python", "-m", "kdjax", "train"]' in lines


def test_a_container_of_gpus_can_ask_kubernetes_who_it_is():
    text = (LAUNCH / "Containerfile.gpu").read_text()
    assert "k8s" in re.search(r'"jax\[(.*?)\]', text)[1].split(",")


def test_the_table_has_every_template_and_every_code():
    text = (LAUNCH / "README.md").read_text()
    for path in TEMPLATES:
        assert path.name in text, path.name
    for code in re.findall(r"(?:^|, |codes: )(\d+) ", HELP.replace("\n", " ")):
        assert re.search(rf"^\|[^|]*\b{code}\b", text, re.M), code
