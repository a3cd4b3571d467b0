"""Workdirs as trainings leave them, of numbers that are not trained."""

import json
import math
import pathlib

EPOCHS = 5
DATA = {
    part: {"name": "toys", "version": "1.0.0", "split": part, "num_examples": count}
    for part, count in (("train", 640), ("test", 200))
}
DATA |= {"classes": 10}
LOST = {"startup": 2.0, "compilation": 20.0, "input": 1.0, "evaluation": 3.0}
LOST |= {"saving": 4.0, "restarts": 0.0}


def section(method: str, seed: int = 0, width: int = 4, **settings) -> dict:
    """A student's section of a config, as its identity has it."""
    return {
        "model": {"name": "wide_resnet", "depth": 10, "width": width},
        "method": {"name": method} | settings,
        "selection": {"name": "all"},
        "seed": seed,
    }


def write(
    workdir: pathlib.Path,
    students: dict[str, tuple[dict, float]],
    *,
    seed: int = 0,
    teacher: pathlib.Path | str = "",
    finished: bool = True,
    epochs: int = EPOCHS,
    published: float | None = None,
    **config,
) -> pathlib.Path:
    """A run of students: name -> (section, test top-1 of its last epoch)."""
    workdir.mkdir(parents=True)
    own = {name: one for name, (one, _) in students.items()}
    config = {"seed": seed, "batch_size": 64, "total_epochs": float(EPOCHS)} | config
    config |= {"data": {"name": "toys", "test": "test", "data_dir": str(workdir)}}
    config = {"schedule": {"name": "cosine", "learning_rate": 0.1}} | config
    config = {"optimizer": {"name": "sgd"}} | config
    config |= {"teacher": {"workdir": str(teacher)}, "students": own}
    (workdir / "config.json").write_text(json.dumps(config))
    top1 = {name: score for name, (_, score) in students.items()}
    lines = [json.dumps(row) for row in rows(top1, epochs, bool(teacher))]
    (workdir / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    if finished:
        record = _summary(own, top1, teacher, published)
        (workdir / "summary.json").write_text(json.dumps(record))
    return workdir


def rows(top1: dict[str, float], epochs: int, is_taught: bool) -> list[dict]:
    """Rows of metrics.jsonl that rise to the scores; the best is the one before."""
    lines = []
    for step in range(1, 4 * epochs + 1):
        time = {"total": 3.0 * step + 20.0} | LOST
        row = {"step": step, "epoch": step / 4, "seconds": 3.0 * step, "time": time}
        train = row | {"train/images_per_second": 900.0 + step}
        train |= {"train/input_percent": 0.5}
        for name in top1:
            loss = 2.0 * math.exp(-step / 9) + 0.1
            train |= {f"train/{name}/loss": loss, f"train/{name}/loss/hard_label": loss}
            train |= {f"train/{name}/loss/soft_logits": loss / 2}
            train |= {f"train/{name}/learning_rate": 0.1 * (1 - step / 99)}
            train |= {f"train/{name}/temperature/mean": 4.0 - step / 20}
            train |= {f"train/{name}/temperature/min": 3.0 - step / 20}
            train |= {f"train/{name}/temperature/max": 5.0 - step / 20}
        lines.append(train)
        if step % 4 == 0:
            for name, last in top1.items():
                left = epochs - step // 4
                score = last + 1.0 if left == 1 else last - 8.0 * left
                row |= {f"eval/{name}/top1": score, f"eval/{name}/loss": 1.0}
                row |= {f"eval/{name}/agreement": 70.0} if is_taught else {}
            lines.append(row)
    return lines


def _summary(own: dict, top1: dict, teacher, published: float | None) -> dict:
    students = {
        name: {
            "model": one["model"]["name"],
            "method": one["method"]["name"],
            "metrics": {"top1": top1[name]} | ({"agreement": 70.0} if teacher else {}),
        }
        for name, one in own.items()
    }
    if published:
        for student in students.values():
            student["published"] = {"top1": published, "source": "a paper"}
    source = {
        "workdir": str(teacher),
        "student": "ce",
        "model": {"name": "wide_resnet"},
    }
    identity = {"students": own, "data": DATA, "teacher": source if teacher else None}
    identity |= {"versions": {"kdjax": "0.1.0", "jax": "0.10.2"}}
    time = {"seconds": 100.0, "goodput_percent": 70.0, "lost_seconds": LOST}
    provenance = {"device": "2 x CPU device", "finished": "2026-01-02T03:04:05+00:00"}
    provenance |= {"command": "python -m kdjax train --config=a.py", "commit": None}
    record = {"seconds": 60.0, "students": students, "identity": identity}
    return record | {"time": time, "provenance": provenance}


def demo(root: pathlib.Path, seeds: int = 3) -> list[pathlib.Path]:
    """A teacher, and five ways to teach with some seeds of each."""
    teacher = write(root / "teacher", {"ce": (section("ce", width=24), 90.0)})
    scores = {"ce": 80.0, "kd_tau1": 80.1, "kd_tau4": 82.0, "kd_inf": 83.0, "mse": 79.0}
    taus = {"kd_tau1": 1.0, "kd_tau4": 4.0, "kd_inf": "inf"}
    workdirs = [teacher]
    for seed in range(seeds):
        students = {}
        for place, (name, score) in enumerate(scores.items()):
            settings = {"alpha": 1.0, "temperature": taus[name]} if name in taus else {}
            method = "kd" if name in taus else name
            noise = 0.3 * math.sin(7.0 * seed + place) + 0.5 * seed
            students[name] = section(method, seed, **settings), score + noise
        path = root / f"students-seed{seed}"
        workdirs.append(
            write(path, students, seed=seed, teacher=teacher, published=81.0)
        )
    return workdirs
