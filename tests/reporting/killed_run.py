"""Reports two rows to both trackers, and is killed: `python -m ... WORKDIR`."""

import os
import pathlib
import signal
import sys
import time

from kdjax.reporting.trackers import stored_id
from tests.reporting.test_trackers import report, reporter_of


def main(workdir: pathlib.Path) -> None:
    from mlflow import MlflowClient

    report(reporter_of(workdir), (10, 20))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if own := stored_id(workdir / "trackers", "mlflow"):
            history = MlflowClient().get_metric_history(own, "eval/kd/top1")
            if [metric.step for metric in history] == [10, 20]:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
