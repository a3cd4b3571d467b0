"""Records of runs as `kdjax reproduce` stores them, with numbers of a test's choice."""

PAIR = {"teacher": "resnet20", "student": "resnet8"}


def record(study, run, seed, students, pair=PAIR, dtype="float32", **more):
    """`students` are name -> test top-1, or (test top-1, logit distance)."""
    return {
        **{"study": study, "run": run, "pair": dict(pair), "seed": seed},
        **{"dtype": dtype, "command": f"python -m kdjax reproduce {study}"},
        **{"device": ["2 x cpu"], "python": ["3.12"], "versions": {"jax": "1"}},
        **{"recorded": "2020-01-02", "commit": ["abc"], "total_steps": 0},
        **{"seconds": 1800.0, "images_per_second": 1000.0, "teacher": None},
        "students": {name: student(*values(s)) for name, s in students.items()},
        **more,
    }


def values(scores):
    return scores if isinstance(scores, tuple) else (scores,)


def student(top1, distance=None):
    metrics = {"top1": top1}
    metrics |= {} if distance is None else {"logit_distance": distance}
    curve = {"epoch": [1.0], "top1": [top1], "loss": [1.0], "train_loss": [None]}
    best = {"top1": top1, "epoch": 1.0}
    return {"digest": "d", "metrics": metrics, "best": best, "curve": curve}
