"""Who a process is, from flags, variables and what clusters set; nothing is started."""

import argparse
import socket
import time

import pytest

from kdjax.commands import hosts, together
from kdjax.commands.hosts import Place, find_place
from kdjax.contracts import InputError
from tests.commands.jobs import Job, by_slurm, port


def options(**given):
    return argparse.Namespace(**dict.fromkeys(hosts.VARIABLES) | given)


ALL = {"coordinator": "a:1", "processes": "4", "process": "3"}
BY_VARIABLES = {hosts.VARIABLES[name]: value for name, value in ALL.items()}


@pytest.fixture
def environ(monkeypatch):
    """Sets variables where JAX looks as well."""

    def put(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return variables

    return put


def test_alone_where_nobody_says_otherwise():
    assert find_place(options(), {}) is None
    alone = {"coordinator": "a:1", "processes": "1", "process": "0"}
    assert find_place(options(**alone), {}) is None
    # A pod is no task of several, and JAX would want a package to find that out.
    assert find_place(options(), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) is None


def test_flags_and_variables():
    wanted = Place("a:1", 4, 3)
    assert find_place(options(**ALL), {}) == wanted
    assert find_place(options(), BY_VARIABLES) == wanted
    assert find_place(options(process="2"), BY_VARIABLES) == wanted._replace(process=2)


@pytest.mark.parametrize(
    "given, message",
    (
        ({"process": "1"}, "--coordinator .*, --processes .* is missing; .* all three"),
        (ALL | {"process": "4"}, "--process is '4'; expected 0 to 3"),
        (ALL | {"process": "x"}, "--process is 'x'"),
        (ALL | {"processes": "0"}, "--processes is '0'; expected 1 to"),
        (ALL | {"coordinator": "a"}, "--coordinator is 'a'; expected HOST:PORT"),
    ),
)
@pytest.mark.errors
def test_what_makes_no_sense(given, message):
    with pytest.raises(InputError, match=message):
        find_place(options(**given), {})


@pytest.mark.errors
def test_variables_that_make_no_sense():
    wrong = BY_VARIABLES | {"JAX_PROCESS_ID": "9"}
    with pytest.raises(InputError, match="JAX_PROCESS_ID is '9'"):
        find_place(options(), wrong)
    with pytest.raises(InputError, match=r"--process \(or \$JAX_PROCESS_ID\) is miss"):
        find_place(
            options(), {"JAX_NUM_PROCESSES": "2", "JAX_COORDINATOR_ADDRESS": "a:1"}
        )


def task(count, number, **more):
    found = by_slurm(count) | {"JAX_COORDINATOR_PORT": "77"} | more
    return {k: v[number] if isinstance(v, list) else v for k, v in found.items()}


def test_tasks_of_slurm(environ):
    found = environ(task(2, 1))
    assert find_place(options(), found) == Place("localhost:77", 2, 1, [1])
    # One task on a host has all its devices, and one that is bound what it is bound to.
    found = environ(task(2, 1, SLURM_STEP_NUM_NODES="2"))
    assert find_place(options(), found).devices is None
    found = environ(task(2, 1, CUDA_VISIBLE_DEVICES="1"))
    assert find_place(options(), found).devices is None
    found = environ(task(1, 0))
    assert find_place(options(), found) is None


def test_ranks_of_open_mpi(environ):
    uri = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911"}
    more = {"SIZE": "2", "RANK": "1", "LOCAL_RANK": "0", "LOCAL_SIZE": "1"}
    found = uri | {f"OMPI_COMM_WORLD_{name}": value for name, value in more.items()}
    place = find_place(options(), environ(found))
    assert place.coordinator.startswith("10.96.0.1:") and place[1:] == (2, 1, None)


@pytest.mark.errors
def test_a_coordinator_that_nobody_reaches(monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setattr(hosts, "WAIT", 0.5)
        begun, all_three = time.monotonic(), {"processes": "2", "process": "1"}
        with pytest.raises(InputError, match=f"cannot reach {address}.*firewall"):
            with hosts.joined(options(coordinator=address, **all_three)):
                raise AssertionError("it went on")
    assert time.monotonic() - begun < 20 and together.processes() == 1


ALONE = """
import argparse, sys
from kdjax.commands import hosts
hosts.WAIT = 1.0
first = argparse.Namespace(coordinator=sys.argv[1], processes="2", process="0")
with hosts.joined(first):
    pass
"""


def test_a_process_that_never_comes(tmp_path):
    job = Job(tmp_path, [f"127.0.0.1:{port()}"], module=("-c", ALONE))
    assert job.codes() == [2], job.text()
    assert "kdjax: process 0: the 2 processes did not meet at 127.0.0.1" in job.text()


def test_the_coordinator_listens_where_it_is_looked_for(monkeypatch):
    assert hosts._bind_address("localhost:77") == "127.0.0.1:77"
    assert hosts._bind_address("no-such-host.invalid:77") is None
    # What the others resolve to this host's address, it often knows as a loopback.
    monkeypatch.setattr(socket, "gethostbyname", lambda host: "127.0.1.1")
    assert hosts._bind_address("node7:77") is None
    monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", "10.0.0.1:77")
    assert hosts._bind_address("localhost:77") is None
