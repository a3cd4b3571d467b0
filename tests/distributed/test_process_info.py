"""Which process this is, by flags, variables and what clusters set; none is started."""

import argparse
import os
import socket

import pytest
from jax._src.clusters import GceTpuCluster, K8sCluster

from kdjax.cli import reproduce
from kdjax.contracts import InputError
from kdjax.distributed import (
    cluster_env,
)
from kdjax.distributed.alone import check_alone
from kdjax.distributed.cluster_env import ProcessInfo, RendezvousError
from kdjax.distributed.process_info import find_process_info
from tests.distributed.jobs import TORCHRUN, by_slurm


def options(**given):
    return argparse.Namespace(**dict.fromkeys(cluster_env.VARIABLES) | given)


ALL = {"coordinator": "a:1", "processes": "4", "process": "3"}
BY_VARIABLES = {cluster_env.VARIABLES[name]: value for name, value in ALL.items()}


NAMES = ("SLURM_", "JAX_", "OMPI_", "PMI", "KUBERNETES_", "JOB_", "TPU_", "CUDA_VIS")
NAMES += TORCHRUN


@pytest.fixture
def environ(monkeypatch):
    """Sets variables where JAX looks as well, and no others of their kind."""
    for name in [name for name in os.environ if name.startswith(NAMES)]:
        monkeypatch.delenv(name)

    def put(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return os.environ

    return put


def test_alone_where_nothing_is_set(environ):
    assert find_process_info(options(), environ({})) is None
    alone = {"coordinator": "a:1", "processes": "1", "process": "0"}
    assert find_process_info(options(**alone), environ({})) is None
    # mpirun of one task, by any Open MPI: none of its servers is needed.
    variables = {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}
    variables |= {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "PMI_SIZE": "1"}
    assert find_process_info(options(), environ(variables)) is None


def test_flags_and_variables():
    wanted = ProcessInfo("a:1", 4, 3)
    by_flags = find_process_info(options(**ALL), {})
    assert by_flags == wanted._replace(source="--processes and --process")
    by_variables = find_process_info(options(), BY_VARIABLES)
    wanted = wanted._replace(source="JAX_NUM_PROCESSES and JAX_PROCESS_ID")
    assert by_variables == wanted
    both = find_process_info(options(process="2"), BY_VARIABLES)
    assert both[:3] == ("a:1", 4, 2)


@pytest.mark.parametrize(
    "given, message",
    (
        ({"process": "1"}, "--coordinator .*, --processes .* is missing; .* all three"),
        (ALL | {"process": "4"}, "--process is '4'; expected 0 to 3"),
        (ALL | {"process": "x"}, "--process is 'x'"),
        (ALL | {"processes": "0"}, "--processes is '0'; expected 1 to"),
        (ALL | {"coordinator": "a"}, "--coordinator is 'a'; expected HOST:PORT"),
        (ALL | {"coordinator": "a:99999"}, "--coordinator is 'a:99999'; expected"),
        (ALL | {"process": "²"}, "--process is '²'; expected 0 to 3"),
    ),
)
@pytest.mark.errors
def test_what_makes_no_sense(given, message):
    with pytest.raises(InputError, match=message):
        find_process_info(options(**given), {})


@pytest.mark.errors
def test_variables_that_make_no_sense():
    wrong = BY_VARIABLES | {"JAX_PROCESS_ID": "9"}
    with pytest.raises(InputError, match="JAX_PROCESS_ID is '9'"):
        find_process_info(options(), wrong)
    with pytest.raises(InputError, match=r"--process \(or \$JAX_PROCESS_ID\) is miss"):
        find_process_info(
            options(), {"JAX_NUM_PROCESSES": "2", "JAX_COORDINATOR_ADDRESS": "a:1"}
        )


def task(count, number, **more):
    variables = by_slurm(count) | {"JAX_COORDINATOR_PORT": "77"} | more
    return {k: v[number] if isinstance(v, list) else v for k, v in variables.items()}


def test_tasks_of_slurm(environ):
    variables = environ(task(2, 1))
    assert find_process_info(options(), variables) == ProcessInfo(
        "localhost:77", 2, 1, [1], source="slurm"
    )
    # One task on a host has all its devices, and one that is bound what it is bound to.
    variables = environ(task(2, 1, SLURM_STEP_NUM_NODES="2"))
    assert find_process_info(options(), variables).devices is None
    variables = environ(task(2, 1, CUDA_VISIBLE_DEVICES="1"))
    assert find_process_info(options(), variables).devices is None
    # JAX reads which ones the user wants.
    more = {"CUDA_VISIBLE_DEVICES": "0,1,2,3", "JAX_LOCAL_DEVICE_IDS": "2,3"}
    assert find_process_info(options(), environ(more)).devices is None
    variables = environ(task(1, 0))
    assert find_process_info(options(), variables) is None


def test_an_interactive_step_of_a_larger_job_is_alone(environ):
    """A shell of salloc: a step of one task, with the number of the job's tasks."""
    variables = environ(task(4, 0, SLURM_STEP_NUM_TASKS="1"))
    assert find_process_info(options(), variables) is None
    variables = environ(task(4, 0, SLURM_STEP_NUM_TASKS="2"))
    assert find_process_info(options(), variables).processes == 2


@pytest.mark.errors
def test_a_study_does_not_train_in_each_task(environ, tmp_path):
    """Each would take itself for the only one, and train the same runs."""
    environ(task(2, 1))
    words = ["cifar100-small", "--total_steps=1", f"--runs={tmp_path}"]
    with pytest.raises(
        InputError, match=r"number 1 of 2 \(slurm\).* Expected one task"
    ):
        reproduce.main(words)
    assert reproduce.main([*words, "--plan"]) == 0
    environ(task(1, 0))
    check_alone("reproduce")


@pytest.mark.errors
def test_an_address_of_ones_own_needs_a_port_on_slurm_too(environ):
    variables = environ(task(2, 1, JAX_COORDINATOR_ADDRESS="node7"))
    with pytest.raises(InputError, match="JAX_COORDINATOR_ADDRESS is 'node7'; expec"):
        find_process_info(options(), variables)
    variables = environ(task(2, 1, JAX_COORDINATOR_ADDRESS="node7:88"))
    assert find_process_info(options(), variables).coordinator == "node7:88"


@pytest.mark.parametrize(
    "variables, message",
    (
        ({"PMI_SIZE": "4", "PMI_RANK": "1"}, r"one of 4 tasks \(\$PMI_SIZE\)"),
        # Open MPI 5: JAX 0.10 does not know it, and 0.11 wants mpi4py.
        (
            {
                "OMPI_COMM_WORLD_SIZE": "2",
                "OMPI_COMM_WORLD_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_RANK": "0",
            },
            "one of 2 tasks .*cannot place it|looks like ompi.*mpi4py",
        ),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, "_ADDRESS is set, and nothing says how"),
        (
            {"JOB_COMPLETION_INDEX": "1"},
            "pod of an indexed job .*JAX_NUM_PROCESSES and JAX_COORDINATOR_ADDRESS, "
            "HOST:PORT of pod 0, .*jax.k8s.",
        ),
        (task(1, 0, PMI_SIZE="4"), "one of 4 tasks"),
    ),
)
@pytest.mark.errors
def test_one_of_several_that_cannot_be_placed_does_not_go_alone(
    environ, variables, message
):
    with pytest.raises(InputError, match=message) as caught:
        find_process_info(options(), environ(variables))
    assert "--processes=1" in str(caught.value)


@pytest.mark.errors
def test_a_cluster_that_cannot_be_read_is_named(environ, monkeypatch):
    def count():
        raise KeyError("job-name")

    monkeypatch.setattr(K8sCluster, "is_env_present", lambda: True)
    monkeypatch.setattr(K8sCluster, "get_process_count", count)
    with pytest.raises(InputError, match="looks like K8sCluster, .*KeyError: 'job-na"):
        find_process_info(options(), environ({"JOB_COMPLETION_INDEX": "0"}))


def test_a_server_that_does_not_answer_is_asked_again(environ, monkeypatch):
    """The metadata server of TPU hosts: never does one of several go on alone."""
    monkeypatch.setattr(cluster_env, "PAUSES", (0.0, 0.0))
    calls = []

    def is_present(silent):
        calls.append(1)
        if len(calls) <= silent:
            raise ConnectionRefusedError("metadata")
        return False

    monkeypatch.setattr(GceTpuCluster, "is_env_present", lambda: is_present(2))
    assert find_process_info(options(), environ({})) is None and len(calls) == 3
    monkeypatch.setattr(GceTpuCluster, "is_env_present", lambda: is_present(99))
    with pytest.raises(
        RendezvousError, match="gcetpu does not answer .*ConnectionRefusedError"
    ):
        find_process_info(options(), environ({}))
    assert len(calls) == 6 and RendezvousError.exit_code == 42


@pytest.mark.parametrize("name", ("cause", "text"))
def test_a_first_host_without_an_address_yet_is_late(environ, monkeypatch, name):
    """How JAX says so of Kubernetes, and of TPU hosts."""

    def address(**_):
        if name == "text":
            raise RuntimeError("Failed to recognize coordinator address t-0")
        raise RuntimeError("Retry failed") from socket.gaierror("t-0")

    monkeypatch.setattr(GceTpuCluster, "is_env_present", lambda: True)
    monkeypatch.setattr(GceTpuCluster, "get_process_count", lambda: 4)
    monkeypatch.setattr(GceTpuCluster, "get_coordinator_address", address)
    with pytest.raises(RendezvousError, match="RuntimeError"):
        find_process_info(options(), environ({}))


def test_ranks_of_open_mpi(environ):
    uri = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911"}
    more = {"SIZE": "2", "RANK": "1", "LOCAL_RANK": "0", "LOCAL_SIZE": "1"}
    variables = uri | {f"OMPI_COMM_WORLD_{name}": value for name, value in more.items()}
    info = find_process_info(options(), environ(variables))
    assert info.coordinator.startswith("10.96.0.1:")
    assert info[1:] == (2, 1, None, 1, "ompi")
