"""GPUs and TPUs: what the system has, and what JAX makes of it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

from kdjax.doctor.findings import Findings, note, ok, problem
from kdjax.reporting.files import in_bytes

ANSWER = 120  # seconds, in which JAX must have started
QUERY = ("name", "memory.total", "memory.used", "driver_version")  # of nvidia-smi
# NVIDIA's release notes: the oldest driver of each CUDA.
DRIVERS = {"cuda12": 525, "cuda13": 580}
BUSY = 0.1  # of a GPU's memory, in use by others
# In a process of its own: XLA ends one that has an unknown flag, JAX holds a GPU's
# memory until it ends, and a TPU that is in use does not answer.
PROBE = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import jax
    devices = jax.devices()
kinds = [[d.platform, d.device_kind] for d in devices]
texts = [str(one.message) for one in caught]
print(json.dumps({"devices": kinds, "warnings": texts}))
"""
UNKNOWN_FLAGS = re.compile(r"Unknown flags? in XLA_FLAGS: ([^\n]*)")


class Gpu(NamedTuple):
    """As nvidia-smi shows it; bytes."""

    name: str
    memory: int
    used: int
    driver: str


def gpus() -> list[Gpu]:
    """NVIDIA's, by the driver's own tool; [] where there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = f"--query-gpu={','.join(QUERY)}"
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(", ") for line in run.stdout.splitlines() if not run.returncode]
    return [
        Gpu(name, int(total) << 20, int(used) << 20, driver)
        for name, total, used, driver in (row for row in rows if len(row) == 4)
        if total.isdigit() and used.isdigit()
    ]


def tpus() -> int:
    """Chips that the system shows."""
    return len([*pathlib.Path("/dev").glob("accel[0-9]*")])


def probe() -> dict:
    """{"devices", "warnings"} of a JAX that starts as a run would, or {"error"}."""
    environ = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-c", PROBE]
    options = {"capture_output": True, "text": True, "env": environ}
    try:
        run = subprocess.run(command, timeout=ANSWER, **options)
    except subprocess.TimeoutExpired:
        return {"error": f"JAX did not start within {ANSWER} s"}
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1])
    if match := UNKNOWN_FLAGS.search(run.stderr):
        return {"error": f"XLA does not know {match[1].strip()}", "flags": match[1]}
    lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
    return {"error": f"JAX does not start: {lines[-1][:300]}"}


def examine_devices(
    facts: dict, gpus: list[Gpu], tpus: int, environ: Mapping[str, str]
) -> Findings:
    """What JAX starts with (`probe`), beside what the system has."""
    if "error" in facts:
        advice = "Look whether another process holds the devices, and at JAX_PLATFORMS."
        if "flags" in facts:
            advice = "Take it out of XLA_FLAGS: every command of JAX ends there."
        yield problem("devices", facts["error"], advice)
        return
    for text in facts["warnings"]:
        if "jax" in text.lower() or "plugin" in text.lower():
            yield note("devices", text[:300], "")
    kinds = [kind for _, kind in facts["devices"]]
    text = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
    on_cpu = all(platform == "cpu" for platform, _ in facts["devices"])
    present = f"{len(gpus)} x {gpus[0].name}" if gpus else f"{tpus} TPU chips"
    if on_cpu and (gpus or tpus):
        text = f"the system has {present}, and JAX sees the CPU alone"
        wanted = environ.get("JAX_PLATFORMS")
        hidden = environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
        if wanted or hidden:
            name = "JAX_PLATFORMS" if wanted else "CUDA_VISIBLE_DEVICES"
            yield note("devices", f"{text}, as {name} says", "Unset it to use them.")
        else:
            kind = "cuda13" if gpus else "tpu"
            yield problem("devices", text, f"pip install 'jax[{kind}]', see plugins.")
    else:
        yield ok("devices", text)


def examine_drivers(gpus: list[Gpu], plugins: Mapping[str, str]) -> Findings:
    """The driver's age, and whether others have the memory."""
    for gpu in gpus:
        if gpu.used > BUSY * gpu.memory:
            text = (
                f"{gpu.name}: {in_bytes(gpu.used)} of {in_bytes(gpu.memory)} are in use"
            )
            yield note("devices", text, "`nvidia-smi` shows by which process.")
    major = int(gpus[0].driver.split(".")[0]) if gpus else 0
    for kind, oldest in DRIVERS.items():
        if gpus and major < oldest and any(kind in name for name in plugins):
            text = f"the driver is {gpus[0].driver}, and JAX's {kind} needs {oldest}"
            yield problem("devices", text, "Update the driver, or install jax[cuda12].")
