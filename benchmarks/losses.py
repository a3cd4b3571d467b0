"""Losses beside Optax, plain JAX and PyTorch: value and gradient, by turns, on CPU.

    python -m benchmarks.losses             # both sizes, jitted, as a table
    python -m benchmarks.losses --eager     # without jit, too
    python -m benchmarks.losses --only kl_divergence --rounds=200

A row is the mean of one loss over a batch and its gradient in the student's logits. By
hand is what one would write instead: Optax's function where it has one, else textbook
lines. The two run by turns, in both orders; a round's ratio is free of most of what
else the machine does, and the table has the median ratio and its quartiles. PyTorch is
eager, as it is most often used. Times are those of the fastest round.

In some processes the larger size takes several times as long, for whatever is timed.
That is rarer where glibc keeps the memory of large arrays between calls:

    MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=4294967296 \\
      python -m benchmarks.losses
"""

import argparse
import importlib.metadata
import os
import platform
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.losses_by_hand import HAND, OURS, TORCH
from kdjax.distributed.devices import processor

SIZES = ((1024, 1000), (128, 100))


def inputs(batch: int, classes: int):
    """Student, teacher and labels, as arrays of NumPy."""
    rng = np.random.default_rng(0)
    student, teacher = (
        np.float32(scale * rng.normal(size=(batch, classes))) for scale in (3, 5)
    )
    return student, teacher, rng.integers(0, classes, batch).astype(np.int32)


def of_jax(loss, arrays, compiled: bool):
    """A function without arguments that computes value and gradient once."""
    arrays = [jnp.asarray(x) for x in arrays]
    step = jax.value_and_grad(lambda *a: jnp.mean(loss(*a)))
    step = jax.jit(step) if compiled else step
    return lambda: jax.block_until_ready(step(*arrays))


def of_torch(loss, arrays):
    import torch

    student, teacher, labels = (torch.from_numpy(x) for x in arrays)
    labels = labels.long()

    def run():
        leaf = student.detach().requires_grad_()
        loss(leaf, teacher, labels).backward()
        return leaf.grad

    return run


def seconds(run, repeats: int) -> float:
    run()  # after another one's arrays have been in the caches
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def compare(runs: dict, rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each round: ours and by hand by turns, then the rest."""
    repeats = {k: max(1, int(2e-3 / seconds(f, 3))) for k, f in runs.items()}
    times = {k: [] for k in runs}
    pair, rest = ["ours", "hand"], [k for k in runs if k not in ("ours", "hand")]
    for names in [pair, pair[::-1]] * (rounds // 2) + [rest] * (rounds // 2):
        for name in names:
            times[name].append(seconds(runs[name], repeats[name]))
    return {k: np.array(v) for k, v in times.items()}


def row(name: str, size, times) -> str:
    best = {k: f"{1e6 * v.min():.0f}" for k, v in times.items()}
    ratio = times["ours"] / times["hand"]
    low, middle, high = np.percentile(ratio, (25, 50, 75))
    cells = [name, "x".join(map(str, size)), best["ours"], best["hand"]]
    cells += [best.get("torch", ""), f"{middle:.2f} ({low:.2f} to {high:.2f})"]
    if "eager" in times:
        cells += [best["eager"], best["eager hand"]]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", nargs="*", default=list(OURS), choices=list(OURS))
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--torch", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    packages = ["jax", "jaxlib", "optax"] + ["torch"] * given.torch
    print(*(f"{p} {importlib.metadata.version(p)}" for p in packages), sep=", ")
    cores = f"{len(os.sched_getaffinity(0))} of its cores"
    print(f"Python {platform.python_version()}, {processor()}, {cores}")
    if jax.default_backend() != "cpu":
        parser.error("the default device is no CPU; set JAX_PLATFORMS=cpu")
    columns = "loss|size|kdjax, us|by hand, us|PyTorch, us|kdjax / by hand"
    columns += "|eager, us|by hand eager, us" if given.eager else ""
    print(f"|{columns}|\n|{'|'.join('---' for _ in columns.split('|'))}|")
    for name in given.only:
        for size in SIZES:
            arrays = inputs(*size)
            runs = {
                "ours": of_jax(OURS[name], arrays, True),
                "hand": of_jax(HAND[name], arrays, True),
            }
            if given.torch and name in TORCH:
                runs["torch"] = of_torch(TORCH[name], arrays)
            if given.eager:
                runs["eager"] = of_jax(OURS[name], arrays, False)
                runs["eager hand"] = of_jax(HAND[name], arrays, False)
            print(row(name, size, compare(runs, given.rounds)), flush=True)


if __name__ == "__main__":
    main()
