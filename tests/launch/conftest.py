"""Scripts of launch/ where nothing is called but stand-ins."""

import os
import subprocess

import pytest

from tests.launch.standins import FILES, LAUNCH, STAND_IN


@pytest.fixture
def shell(tmp_path):
    """Runs a script where srun, scontrol, gcloud and xpk are stand-ins."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("srun", "scontrol", "gcloud", "xpk"):
        (commands / name).write_text(STAND_IN)
        (commands / name).chmod(0o755)

    def run(script, words, codes=(), bad=0, **variables):
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        (tmp_path / "bad").write_text("\n" * bad)
        log = tmp_path / "log"
        log.write_text("")
        path = f"{commands}{os.pathsep}{os.environ['PATH']}"
        files = {"LOG": log} | {n.upper(): tmp_path / n for n in FILES}
        result = subprocess.run(
            [LAUNCH / script, *words],
            env={"PATH": path, "WAIT": "0"}
            | {k: str(v) for k, v in files.items()}
            | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        calls = log.read_text().split("\1")[:-1]
        return result, [call.split("\0")[:-1] for call in calls]

    return run
