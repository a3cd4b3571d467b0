"""Evaluation during a run: of its students, and of the averages of their weights."""

from kdjax.experiment.build import Experiment
from kdjax.runner import summary
from kdjax.training.evaluator import add_teacher, evaluation_rows, scorer


def evaluation(experiment: Experiment, variables, mesh):
    """states -> name -> metrics; the teacher's outputs are computed once, here.

    Where weights are averaged, the metrics are the average's, and "raw_top1" and
    "raw_loss" those of the weights that the optimizer trains.
    """
    normalise, students = experiment.augment.evaluate, experiment.students
    networks = {name: s.network for name, s in students.items()}
    averaged = {name: f"{name}/raw" for name, s in students.items() if s.ema_decay}
    raw = {key: networks[name] for name, key in averaged.items()}

    def scorer_of(networks, split, teacher=None):
        batches = evaluation_rows(split, experiment.evaluation_batch_size, mesh)
        if teacher:
            add_teacher(teacher.network, variables, normalise, batches)
            summary.check_teacher(experiment, batches)
        return scorer(networks, normalise, batches)

    score = scorer_of(networks | raw, experiment.test, experiment.teacher)
    score_train = None
    if experiment.scores_train:
        score_train = scorer_of(networks, experiment.train)

    def evaluate(states):
        variables = {name: state.evaluated for name, state in states.items()}
        trained = {
            key: (states[name].params, states[name].batch_stats)
            for name, key in averaged.items()
        }
        results = score(variables | trained)
        for name, key in averaged.items():
            row = results.pop(key)
            results[name] |= {"raw_top1": row["top1"], "raw_loss": row["loss"]}
        for name, row in (score_train(variables) if score_train else {}).items():
            results[name] |= {"train_top1": row["top1"], "train_loss": row["loss"]}
        return results

    return evaluate
