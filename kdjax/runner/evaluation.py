"""Evaluation during a run: of its students, and of the averages of their weights."""

from kdjax.experiment.build import Experiment
from kdjax.runner import summary
from kdjax.training.evaluator import add_teacher, evaluation_rows, scorer


class Evaluation:
    """states -> name -> metrics; the teacher's outputs are computed once, here.

    Where weights are averaged, the metrics are the average's, and "raw_top1" and
    "raw_loss" those of the weights that the optimizer trains.
    """

    def __init__(self, experiment: Experiment, variables, mesh):
        self.normalise = normalise = experiment.augment.evaluate
        students = experiment.students
        self.networks = {name: s.network for name, s in students.items()}
        self._averaged = {
            name: f"{name}/raw" for name, s in students.items() if s.ema_decay
        }
        raw = {key: self.networks[name] for name, key in self._averaged.items()}
        size = experiment.evaluation_batch_size
        self.batches = evaluation_rows(experiment.test, size, mesh)
        if teacher := experiment.teacher:
            add_teacher(teacher.network, variables, normalise, self.batches)
            summary.check_teacher(experiment, self.batches)
        self._score = scorer(self.networks | raw, normalise, self.batches)
        self._score_train = None
        if experiment.scores_train:
            rows = evaluation_rows(experiment.train, size, mesh)
            self._score_train = scorer(self.networks, normalise, rows)

    def __call__(self, states) -> dict[str, dict[str, float]]:
        variables = {name: state.evaluated for name, state in states.items()}
        trained = {
            key: (states[name].params, states[name].batch_stats)
            for name, key in self._averaged.items()
        }
        results = self._score(variables | trained)
        for name, key in self._averaged.items():
            row = results.pop(key)
            results[name] |= {"raw_top1": row["top1"], "raw_loss": row["loss"]}
        if self._score_train:
            for name, row in self._score_train(variables).items():
                results[name] |= {"train_top1": row["top1"], "train_loss": row["loss"]}
        return results
