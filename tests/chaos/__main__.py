"""All 42 kills, as a table: `python -m tests.chaos`, or `make chaos`."""

import os
import pathlib
import sys
import tempfile
import time

import jax

from tests.chaos import matrix
from tests.chaos.victim import POINTS


def main() -> int:
    """1 where a run did not end as the same run without a kill."""
    jax.config.update("jax_platforms", "cpu")
    started, root = time.monotonic(), pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
    kept = {
        "JAX_COMPILATION_CACHE_DIR": str(root / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    os.environ |= {name: value for name, value in kept.items()}
    matrix.prepare(root)
    wanted, cells = {}, {}
    for processes in (1, 2):
        matrix.start(root, root / f"whole-{processes}", processes).check()
        wanted[processes] = matrix.left(root / f"whole-{processes}")
    for kill in matrix.KILLS:
        try:
            workdir, codes = matrix.killed(root, kill)
            wrong = matrix.differences(matrix.left(workdir), wanted[kill.processes])
            cells[kill] = f"{', '.join(map(str, codes[0]))}" + "".join(
                f"; other {part}" for part in wrong
            )
            failed = bool(wrong)
        except AssertionError as error:
            cells[kill], failed = "FAILED", True
            print(error, file=sys.stderr)
        print(f"{time.monotonic() - started:6.0f} s  {kill}: {cells[kill]}", flush=True)
        cells[kill] = ("**" + cells[kill] + "**") if failed else cells[kill]
    print(f"\n| | {' | '.join(p.replace('-', ' ') for p in POINTS)} |")
    print("|---" * (len(POINTS) + 1) + "|")
    for signal in matrix.SIGNALS:
        for who in matrix.WHO:
            row = [cells[matrix.Kill(signal, who, point)] for point in POINTS]
            print(f"| {signal}, {who} | {' | '.join(row)} |")
    bad = sum("**" in cell for cell in cells.values())
    minutes = (time.monotonic() - started) / 60
    print(f"\n{len(cells)} kills in {minutes:.0f} minutes; {bad} ended otherwise")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
