"""Processes that torchrun has numbered, on one host and several, and half a set."""

import os

import pytest

from kdjax.contracts import InputError
from kdjax.data import prefetch
from kdjax.distributed.cluster_env import ProcessInfo
from kdjax.distributed.process_info import find_process_info
from tests.distributed.jobs import TORCHRUN, by_torchrun
from tests.distributed.test_process_info import environ, options, task

__all__ = ["environ"]  # the fixture

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def worker(rank, nodes, per_node, **more):
    """What torchrun sets of NODES hosts with so many processes each."""
    numbers = {
        "RANK": rank,
        "LOCAL_RANK": rank % per_node,
        "LOCAL_WORLD_SIZE": per_node,
    }
    where = {"MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
    where |= {"TORCHELASTIC_USE_AGENT_STORE": "False"}
    numbers |= {"WORLD_SIZE": nodes * per_node}
    return {key: str(value) for key, value in (numbers | where | more).items()}


def info_of(environ, variables) -> ProcessInfo | None:
    return find_process_info(options(), environ(variables))


def test_one_process_for_each_gpu(environ):
    info = info_of(environ, worker(11, nodes=2, per_node=8))
    assert info == ProcessInfo("node0:29500", 16, 11, [3], 8, "torchrun's variables")
    assert info_of(environ, {"CUDA_VISIBLE_DEVICES": "3"}).devices is None
    assert info_of(environ, {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}).devices == [3]


def test_one_process_for_each_host(environ):
    info = info_of(environ, worker(1, nodes=2, per_node=1))
    assert info[:5] == ("node0:29500", 2, 1, None, 1)


def test_the_four_that_pytorch_needs_are_enough(environ):
    """As Kubeflow's PyTorchJob sets them, with one process in a pod."""
    variables = {k: v for k, v in worker(1, 2, 1).items() if k in NEEDED}
    assert info_of(environ, variables)[:5] == ("node0:29500", 2, 1, None, 1)


def test_a_single_process_is_alone(environ):
    assert info_of(environ, worker(0, nodes=1, per_node=1)) is None


def test_the_port_on_which_torchrun_listens_itself_is_not_taken(environ):
    variables = worker(0, 1, 2, TORCHELASTIC_USE_AGENT_STORE="True")
    first = info_of(environ, variables).coordinator
    assert first == f"node0:{61440 + 29500 % 4096}"
    assert info_of(environ, {"RANK": "1", "LOCAL_RANK": "1"}).coordinator == first
    assert info_of(environ, {"JAX_COORDINATOR_PORT": "77"}).coordinator == "node0:77"
    more = {"JAX_COORDINATOR_ADDRESS": "node7:78"}
    assert info_of(environ, more).coordinator == "node7:78"


def test_an_address_of_ipv6_is_bracketed(environ):
    info = info_of(environ, worker(0, 2, 1, MASTER_ADDR="fd00::7"))
    assert info.coordinator == "[fd00::7]:29500"


@pytest.mark.errors
@pytest.mark.parametrize("missing", NEEDED)
def test_half_a_set_is_refused_and_says_what_is_missing(environ, missing):
    variables = {k: v for k, v in worker(0, 2, 1).items() if k != missing}
    with pytest.raises(
        InputError, match=f"torchrun's .* and {missing} is mi"
    ) as caught:
        info_of(environ, variables)
    others = " ".join(name for name in NEEDED if name != missing)
    assert f"unset {others}." in str(caught.value)
    assert "--processes=1 --process=0" in str(caught.value)


def test_half_a_set_beside_a_whole_one_is_not_needed(environ):
    """A script of SLURM that exports MASTER_ADDR for others."""
    variables = task(2, 1) | {"MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
    assert info_of(environ, variables).source == "slurm"


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, value, message",
    (
        ("WORLD_SIZE", "x", "WORLD_SIZE is 'x'; expected 1 to"),
        ("RANK", "2", "RANK is '2'; expected 0 to 1"),
        ("MASTER_PORT", "http", "MASTER_PORT is 'http'; expected 1 to 65535"),
        ("LOCAL_RANK", "-1", "LOCAL_RANK is '-1'; expected 0 to"),
    ),
)
def test_variables_that_make_no_sense(environ, name, value, message):
    with pytest.raises(InputError, match=message):
        info_of(environ, worker(0, 2, 1) | {name: value})


def slurm(count, number):
    return task(count, number, SLURM_STEP_NUM_TASKS=str(count))


@pytest.mark.parametrize(
    "variables",
    (
        # srun starts one torchrun on each node, which may number them as it likes.
        slurm(4, 1) | worker(26, nodes=4, per_node=8),
        slurm(4, 1) | worker(3, nodes=4, per_node=1),
        # A script sets RANK and WORLD_SIZE to SLURM's numbers.
        {
            k: v
            for k, v in (slurm(4, 3) | worker(3, 4, 1)).items()
            if "LOCAL_W" not in k
        },
        # A step of one task, and one pod, with eight processes.
        slurm(1, 0) | worker(5, nodes=1, per_node=8),
        {"JOB_COMPLETION_INDEX": "0"} | worker(5, nodes=1, per_node=8),
        {"JOB_COMPLETION_INDEX": "3"} | worker(26, nodes=4, per_node=8),
        {"PMI_SIZE": "2", "PMI_RANK": "1"} | worker(1, nodes=2, per_node=1),
    ),
)
def test_torchrun_within_another_launcher_is_used(environ, variables):
    info = info_of(environ, variables)
    assert info.source == "torchrun's variables"
    assert info.process == int(variables["RANK"])


@pytest.mark.errors
@pytest.mark.parametrize(
    "variables, other",
    (
        # A torchrun of its own on each of four nodes, and a shell's old variables.
        (slurm(4, 1) | worker(5, nodes=1, per_node=8), "SLURM's .*NUM_TASKS=4, .*ID=1"),
        (slurm(4, 2) | worker(0, nodes=1, per_node=1), "SLURM's"),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"} | worker(0, 1, 1), "MPI's .*SIZE=2"),
        ({"JOB_COMPLETION_INDEX": "1"} | worker(5, 1, 8), "pod of an indexed job"),
    ),
)
def test_numbers_that_leave_out_tasks_are_refused(environ, variables, other):
    with pytest.raises(InputError, match=f"contradict .*{other}.*would train alone"):
        info_of(environ, variables)


def test_flags_come_first(environ):
    three = {"coordinator": "a:1", "processes": "2", "process": "1"}
    variables = environ(worker(0, nodes=4, per_node=8))
    assert find_process_info(options(**three), variables)[:3] == ("a:1", 2, 1)
    alone = {"coordinator": "localhost:0", "processes": "1", "process": "0"}
    assert find_process_info(options(**alone), variables) is None


def test_processes_of_a_host_share_its_cores(monkeypatch):
    monkeypatch.setattr(prefetch, "_sharing", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(prefetch.pathlib.Path, "exists", lambda _: False)
    assert prefetch.cores() == 16
    for processes, cores in ((8, 2), (3, 5), (32, 1)):
        prefetch.share_cores(processes)
        assert prefetch.cores() == cores


def test_a_job_of_the_tests_sets_what_torchrun_sets():
    """All of it would be removed from the environment that tests inherit."""
    assert all(name.startswith(TORCHRUN) for name in by_torchrun(2))
