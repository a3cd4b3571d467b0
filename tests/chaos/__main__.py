"""All 42 kills, as a table: `python -m tests.chaos [JOBS]`, or `make chaos`."""

import concurrent.futures
import os
import pathlib
import sys
import tempfile
import time

import jax

from tests.chaos import matrix
from tests.chaos.victim import POINTS


def main(jobs: int) -> int:
    """1 where a run did not end as the same run without a kill."""
    jax.config.update("jax_platforms", "cpu")
    started, root = time.monotonic(), pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": str(root / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    matrix.prepare(root)
    wanted = {}
    for processes in (1, 2):
        matrix.start(root, root / f"whole-{processes}", processes).check()
        wanted[processes] = matrix.left(root / f"whole-{processes}")

    def outcome(kill: matrix.Kill) -> str:
        try:
            workdir, codes = matrix.killed(root, kill)
            left = matrix.left(workdir)
        except Exception as error:
            print(error, file=sys.stderr)
            return "**failed**"
        finally:
            print(f"{time.monotonic() - started:6.0f} s  {kill}", flush=True)
        wrong = matrix.differences(left, wanted[kill.processes])
        if wrong:
            return f"**other {', '.join(wrong)}**"
        return ", ".join(map(str, codes[0]))

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        cells = dict(zip(matrix.KILLS, pool.map(outcome, matrix.KILLS), strict=True))
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
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 1))
