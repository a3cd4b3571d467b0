"""For commands that run in one process: a refusal in each of several tasks."""

import argparse
import os

from kdjax.contracts import InputError
from kdjax.distributed.cluster_env import VARIABLES
from kdjax.distributed.process_info import find_process_info


def check_alone(command: str) -> None:
    """InputError in one of several tasks, for a command that runs in one process."""
    info = find_process_info(argparse.Namespace(**dict.fromkeys(VARIABLES)), os.environ)
    if info is not None:
        raise InputError(
            f"{command} runs in one process, and this is number {info.process} of "
            f"{info.processes} ({info.source}): each would train alone. Expected one "
            "task; it uses all devices of its host."
        )
