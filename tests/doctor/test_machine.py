"""The machine: planted facts, each with its own sentence, and this one as it is."""

import json
import re
import types

import pytest

from kdjax import __main__
from kdjax.doctor import accelerators, disks, environment, machine
from kdjax.doctor.accelerators import Gpu
from kdjax.doctor.findings import NOTE, OK, PROBLEM

GIB = 1 << 30
GPU = Gpu("NVIDIA H200", 140 * GIB, 0, "580.65.06")
CUDA = {"jax-cuda13-pjrt": "0.10.2", "jax-cuda13-plugin": "0.10.2"}
JAX = {"jaxlib": "0.10.2"}
CPU = {"devices": [["cpu", "cpu"]], "warnings": []}
ON_GPU = {"devices": [["gpu", "NVIDIA H200"]] * 2, "warnings": []}


def devices(facts, gpus=(), tpus=0, environ=None):
    return accelerators.examine_devices(facts, list(gpus), tpus, environ or {})


# What is planted -> its findings, the level and the words that are expected.
FACTS = {
    "plugin of another jaxlib": (
        environment.examine_plugins(
            CUDA | {"jax-cuda13-plugin": "0.10.1"}, {"jaxlib": "0.10.2.dev1"}
        ),
        *(PROBLEM, r"jax-cuda13-plugin is 0.10.1 and jaxlib 0.10.2.dev1: JAX does not"),
    ),
    "plugin and jaxlib agree": (
        environment.examine_plugins(CUDA | {"libtpu": "0.0.20"}, JAX),
        *(OK, "jax-cuda13-pjrt 0.10.2, jax-cuda13-plugin 0.10.2, libtpu"),
    ),
    "two CUDAs": (
        environment.examine_plugins(CUDA | {"jax-cuda12-plugin": "0.10.2"}, JAX),
        *(PROBLEM, "both cuda12 and cuda13 are installed"),
    ),
    "half a plugin": (
        environment.examine_plugins({"jax-cuda13-plugin": "0.10.2"}, JAX),
        *(
            PROBLEM,
            r"of cuda13 the part pjrt is not installed.*'jax\[cuda13\]==0.10.2'",
        ),
    ),
    "no plugin": (environment.examine_plugins({}, JAX), OK, "none: JAX computes on"),
    "a GPU that JAX does not see": (
        devices(CPU, [GPU, GPU]),
        *(PROBLEM, "the system has 2 x NVIDIA H200, and JAX sees the CPU alone"),
    ),
    "a GPU that the user hides": (
        devices(CPU, [GPU], environ={"JAX_PLATFORMS": "cpu"}),
        *(NOTE, "sees the CPU alone, as JAX_PLATFORMS says"),
    ),
    "a GPU that is not visible": (
        devices(CPU, [GPU], environ={"CUDA_VISIBLE_DEVICES": ""}),
        *(NOTE, "sees the CPU alone, as CUDA_VISIBLE_DEVICES says"),
    ),
    "a TPU that JAX does not see": (
        devices(CPU, tpus=4),
        *(PROBLEM, r"has 4 TPU chips, .* pip install 'jax\[tpu\]'"),
    ),
    "GPUs that JAX sees": (devices(ON_GPU, [GPU, GPU]), OK, "2 x NVIDIA H200"),
    "JAX that does not start": (
        devices({"error": "JAX does not start: RuntimeError: no TPU"}),
        *(PROBLEM, "does not start.*whether another process holds the devices"),
    ),
    "a warning of JAX": (
        devices(CPU | {"warnings": ["JAX plugin x is installed, but"]}),
        *(NOTE, "JAX plugin x is installed, but"),
    ),
    "an old driver": (
        accelerators.examine_drivers([GPU._replace(driver="570.1")], CUDA),
        *(PROBLEM, "the driver is 570.1, and JAX's cuda13 needs 580"),
    ),
    "a GPU in use": (
        accelerators.examine_drivers([GPU._replace(used=70 * GIB)], CUDA),
        *(NOTE, "NVIDIA H200: 75.16 GB of 150.32 GB are in use"),
    ),
    "float64": (
        environment.examine_variables({"JAX_ENABLE_X64": "true"}),
        *(PROBLEM, "JAX_ENABLE_X64=true: numbers are float64"),
    ),
    "no jit": (
        environment.examine_variables({"JAX_DISABLE_JIT": "1"}),
        *(PROBLEM, "nothing is compiled"),
    ),
    "a NaN ends it": (
        environment.examine_variables({"JAX_DEBUG_NANS": "True"}),
        *(PROBLEM, "a NaN ends the process"),
    ),
    "another precision": (
        environment.examine_variables({"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}),
        *(NOTE, "JAX_DEFAULT_MATMUL_PRECISION=bfloat16"),
    ),
    "nothing is set": (
        environment.examine_variables({"JAX_ENABLE_X64": "0", "HOME": "/root"}),
        *(OK, "no variable that changes results is set"),
    ),
    "little memory": (
        machine.examine_memory(GIB // 2, 4 * GIB),
        *(PROBLEM, "536.87 MB of the container's 4.29 GB available .*137"),
    ),
    "memory": (machine.examine_memory(8 * GIB, None), OK, "8.59 GB available"),
    "a part of the cores": (machine.examine_cores(2, 64), NOTE, "2 of 64 can be used"),
    "few open files": (
        machine.examine_open_files(1024, 1024),
        *(PROBLEM, "may have 1,024 of them; ImageNet takes 1,344"),
    ),
    "open files": (
        machine.examine_open_files(1024, 1 << 20),
        *(OK, "1,024, which kdjax may raise to 1,048,576"),
    ),
    "Docker's /dev/shm": (
        machine.examine_shm(64 << 20, 8),
        *(PROBLEM, "67.11 MB free, through which 8 GPUs pass data -> .*--shm-size"),
    ),
    "a small /dev/shm without GPUs": (machine.examine_shm(64 << 20, 0), OK, "free"),
    "a full /dev/shm": (machine.examine_shm(0, 0), PROBLEM, "0 bytes free"),
    "a host that is loopback": (
        machine.examine_host_name("node1", "127.0.1.1", 4),
        *(PROBLEM, "node1 resolves to 127.0.1.1, and the run has 4 processes"),
    ),
    "a lone host that is loopback": (
        machine.examine_host_name("laptop", "127.0.1.1", 1),
        *(OK, "laptop resolves to 127.0.1.1; a run of one process"),
    ),
    "a host without an address": (
        machine.examine_host_name("node1", "", 2),
        *(PROBLEM, "node1 resolves to no address"),
    ),
    "a clock that is late": (
        machine.examine_clock(1e9, 1e9 + 7200),
        *(PROBLEM, "a file was written 7,200 s after now -> Set the clock"),
    ),
    "a full disk": (
        [disks.disk_finding("disk", 5 << 20, 10**6, True, GIB)],
        *(PROBLEM, "5.24 MB free; expected 1.07 GB -> Make room"),
    ),
    "no inodes": (
        [disks.disk_finding("disk", 5 * GIB, 7, True, GIB)],
        *(PROBLEM, "room for 7 more files; expected 1000"),
    ),
    "a read-only disk": (
        [disks.disk_finding("disk", 5 * GIB, None, False, GIB)],
        *(NOTE, "cannot be written by this user, or is mounted read-only"),
    ),
    "TMPDIR that is not there": (
        disks.examine_tmpdir({"TMPDIR": "/nowhere/at/all"}),
        *(PROBLEM, "TMPDIR is '/nowhere/at/all', which cannot be used"),
    ),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_has_its_level_and_its_own_sentence(name):
    findings, level, words = FACTS[name]
    findings = list(findings)
    lines = [f"{f.text} -> {f.advice}" for f in findings if f.level == level]
    assert any(re.search(words, line) for line in lines), findings
    if level != PROBLEM:
        assert not [f for f in findings if f.level == PROBLEM]


def test_nvidia_smi_is_read_and_its_errors_are_no_gpus(monkeypatch):
    lines = "NVIDIA H200, 143771, 5, 570.86.15\nNVIDIA H200, [N/A], 5, 570.86.15\n"
    run = types.SimpleNamespace(stdout=lines, returncode=0)
    monkeypatch.setattr(accelerators.shutil, "which", lambda name: name)
    monkeypatch.setattr(accelerators.subprocess, "run", lambda *_, **__: run)
    expected = Gpu("NVIDIA H200", 143771 << 20, 5 << 20, "570.86.15")
    assert accelerators.gpus() == [expected]
    run.returncode = 9
    assert accelerators.gpus() == []


def test_an_unknown_flag_of_xla_is_named_and_ends_no_doctor(monkeypatch):
    """XLA ends the process that it comes to: here one of its own."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform=1 --xla_no_such=2")
    (finding,) = devices(accelerators.probe())
    assert finding.level == PROBLEM and "XLA_FLAGS" in finding.advice
    assert "--xla_no_such=2" in finding.text


def test_this_machine_as_one_json_document(capsys, tmp_path):
    code = __main__.main(["doctor", str(tmp_path / "none"), "--json"])
    record = json.loads(capsys.readouterr().out)
    path, here = record["examined"]
    assert (path["path"], path["kind"]) == (str(tmp_path / "none"), "")
    assert path["findings"][0]["level"] == PROBLEM
    assert here["kind"] == "machine"
    named = {finding["where"] for finding in here["findings"]}
    assert named >= {"versions", "devices", "plugins", "memory", "cores", "clock"}
    levels = [f["level"] for one in record["examined"] for f in one["findings"]]
    assert record["problems"] == levels.count(PROBLEM) >= 1
    assert code == 2


@pytest.mark.parametrize("problems", (0, 2))
def test_the_exit_code_and_the_tables(monkeypatch, capsys, problems):
    from kdjax.cli import doctor
    from kdjax.doctor.examine import Examined
    from kdjax.doctor.findings import ok, problem

    wrong = problem("/runs/[red]a/x\x1b[2J", "bad\n-> [bold]\u202e", "do it")
    findings = [ok("/runs/[red]a/y", "well"), *[wrong] * problems]
    examined = [Examined("/runs/[red]a", "run", findings)]
    monkeypatch.setattr(doctor, "examine", lambda paths, quick: examined)
    assert doctor.main([]) == (2 if problems else 0)
    text = capsys.readouterr().out
    assert text.startswith("/runs/[red]a (run)\n")
    assert "\x1b" not in text
    if problems:
        assert text.index("PROBLEM") < text.index("well")
        assert r"x\x1b[2J" in text and "-> do it" in text
        assert r"bad -> [bold]\u202e" in text
    count = problems or "no"
    assert text.endswith(f"{count} problems in {1 + problems} findings\n")
