"""Pods of Kubernetes: alone, of an indexed job, of a slice of TPUs."""

import os

import pytest
from jax._src.clusters import GceTpuCluster, K8sCluster

from kdjax.contracts import InputError
from kdjax.distributed.process_info import find_process_info
from tests.distributed.test_process_info import environ, options

__all__ = ["environ"]  # the fixture


def test_a_pod_is_no_task_of_several(environ, monkeypatch):
    """JAX would want a package to find that out, and warns that it is not there."""

    def read():
        raise AssertionError("it was read")

    monkeypatch.setattr(K8sCluster, "is_env_present", read)
    variables = environ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert find_process_info(options(), variables) is None


def test_a_pod_whose_cluster_knows_that_it_is_alone(environ, monkeypatch):
    """A TPU of GKE: one pod of an indexed job, without Kubernetes' package."""
    monkeypatch.setattr(GceTpuCluster, "is_env_present", lambda: True)
    monkeypatch.setattr(GceTpuCluster, "get_process_count", lambda: 1)
    assert find_process_info(options(), environ({"JOB_COMPLETION_INDEX": "0"})) is None


def test_a_pod_of_an_indexed_job_is_numbered_by_its_index(environ, monkeypatch):
    """Its template names the other two; neither a package nor a server is needed."""
    monkeypatch.setattr(K8sCluster, "is_env_present", pytest.fail)
    index = {"JOB_COMPLETION_INDEX": "3", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    both = {"JAX_NUM_PROCESSES": "4", "JAX_COORDINATOR_ADDRESS": "kd-train-0-0.kd:8476"}
    info = find_process_info(options(), environ(index | both))
    assert info[:4] == ("kd-train-0-0.kd:8476", 4, 3, None)
    assert info.source == "JAX_NUM_PROCESSES and JOB_COMPLETION_INDEX"
    # By hand is by hand.
    assert find_process_info(options(process="1"), environ({})).process == 1
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS")
    with pytest.raises(InputError, match="--coordinator .*ADDRESS. is missing"):
        find_process_info(options(), os.environ)
    (monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "a:1"), environ(index))
    with pytest.raises(
        InputError, match="JOB_COMPLETION_INDEX is '3'; expected 0 to 1"
    ):
        find_process_info(options(), environ({"JAX_NUM_PROCESSES": "2"}))
