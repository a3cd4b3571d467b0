"""A run in MLflow: https://mlflow.org/docs/latest/ml/tracking."""

import os
import re
import time

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from kdjax.contracts import flat
from kdjax.paths.files import scratch
from kdjax.reporting.trackers import Run, store_id, stored_id

TRACKER = "mlflow"
MOST = 1000  # metrics of a request; a tenth as many parameters
_OTHERS = re.compile(r"[^\w\-. :/]", re.ASCII)  # letters that it has not in names


class MlflowRun:
    """One run, the same at every start; where MLflow has it no more, another."""

    def __init__(self, run: Run):
        self._client = MlflowClient()
        uri = self._client.tracking_uri
        # In files a metric is a path, and "loss" would be a file and a folder.
        self._slash = "/" if "://" in uri and not uri.startswith("file:") else "."
        self._id = stored_id(run.directory, TRACKER)
        # Key -> the steps that earlier starts sent.
        self._sent: dict[str, set[int]] = {}
        present = self._resumed()
        if present is None:
            created = self._client.create_run(
                self._experiment(), run_name=run.name, tags=run.tags
            )
            self._id, present = created.info.run_id, {}
            store_id(run.directory, TRACKER, self._id)
        self.where = f"{uri}, run {self._id}"
        # Of a parameter MLflow keeps the first value.
        params = {
            self._name(key): str(value) for key, value in flat(run.config).items()
        }
        new = [Param(key, x) for key, x in params.items() if key not in present]
        for start in range(0, len(new), MOST // 10):
            self._client.log_batch(self._id, params=new[start : start + MOST // 10])

    def has(self, step: int, key: str) -> bool:
        key = self._name(key)
        if key not in self._sent:
            history = self._client.get_metric_history(self._id, key)
            self._sent[key] = {metric.step for metric in history}
        return step in self._sent[key]

    def add(self, step: int, values: dict) -> None:
        now = round(1000 * time.time())
        metrics = [
            Metric(self._name(key), value, now, step)
            for key, value in values.items()
            if value is not None
        ]
        for start in range(0, len(metrics), MOST):
            self._client.log_batch(self._id, metrics=metrics[start : start + MOST])

    def image(self, step: int, name: str, png: bytes) -> None:
        with scratch() as directory:
            path = directory / f"step-{step}.png"
            path.write_bytes(png)
            self._client.log_artifact(self._id, str(path), _OTHERS.sub("_", name))

    def summary(self, step: int, values: dict[str, float]) -> None:
        self.add(step, values)

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")

    def _resumed(self) -> dict[str, str] | None:
        """The parameters of the run that goes on; None where there is none."""
        if not self._id:
            return None
        try:
            run = self._client.get_run(self._id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        self._client.update_run(self._id, status="RUNNING")
        return run.data.params

    def _experiment(self) -> str:
        if own := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return own
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "kdjax"
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            return self._client.create_experiment(name)
        return experiment.experiment_id

    def _name(self, key: str) -> str:
        return _OTHERS.sub("_", key.replace("/", self._slash))
