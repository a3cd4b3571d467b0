"""The tables of `python -m kdjax bench`, for a terminal."""

import itertools
from collections.abc import Iterable

from rich import box

from kdjax.reporting.console import console, plain, table

# Nothing is cut off: a narrow terminal wraps.
COLUMNS = (
    *("mode", "students", "steps a\ndispatch", "compile\nseconds", "images/s"),
    "spread",
    *("images/s x\nstudents", "model\nGFLOP/s", "of\npeak", "modelled\nGB/s"),
    *("of\nroof", "input\nwait"),
)
TAKES_PEAK = ("of\npeak", "modelled\nGB/s", "of\nroof")  # columns of a known peak
LEGEND = """\
images/s: median of the blocks; spread: fastest less slowest, of the median.
images/s x students: what a program of one student would have to reach.
GFLOP/s: of the teacher's forward and three forwards of each student.
input wait: share of the time until the next batch's numbers were on the devices."""
SHARES = """
of peak: model FLOP/s utilisation, what the arithmetic of the devices is used for.
GB/s: memory traffic by a model: 4.5 passes over every convolution's output for the
teacher, 14 for a student; of roof: of what the memory can move. The larger of the two
shares is what binds."""

FEED_COLUMNS = (
    *("threads", "images/s", "lowest - highest", "images/s\nper core"),
    "images/s of\nCPU time",
)
FEED_LEGEND = """\
images/s: median of the blocks, by wall clock; per core: by the cores that the threads
can use. images/s of CPU time: by what cores have computed, other programs aside."""


def print_speeds(rows: list[dict], stream=None) -> None:
    """Prints rows of `kdjax.bench.rows`."""
    has_peak = any(row["memory_utilisation"] or row["flop_utilisation"] for row in rows)
    shown = [has_peak or column not in TAKES_PEAK for column in COLUMNS]
    columns = list(itertools.compress(COLUMNS, shown))
    texts = (itertools.compress(cells(row), shown) for row in rows)
    legend = LEGEND + SHARES * has_peak
    if not has_peak:
        legend += f"\npeak of {rows[0]['device']} is not known: no utilisation"
    first = rows[0]
    title = (
        f"{first['pair']}, batch {first['batch_size']}, {first['image_size']}x"
        f"{first['image_size']}, {first['devices']} x {first['device']}"
    )
    _print(title, columns, texts, legend, stream)


def print_feed_speeds(rows: list[dict], stream=None) -> None:
    """Prints rows of `kdjax.bench.loader_speed`."""
    first = rows[0]
    load = first["load_average"]
    title = (
        f"{first['set']}: files of {first['picture_bytes'] / 1e3:.1f} kB, "
        f"{first['picture_pixels'] / 1e6:.2f} megapixels; crops of "
        f"{first['image_size']}x{first['image_size']}, batch {first['batch_size']}"
        f"{', put on the devices' * first['placed']}; {first['processor']}, "
        f"{first['cores']} core(s)"
        + (f", load average {load:.1f}" if load is not None else "")
    )
    texts = []
    for row in rows:
        rates = {key: _number(row[key]) for key in row if key.startswith("images_per_")}
        low, high = rates["images_per_second_low"], rates["images_per_second_high"]
        text = [str(row["threads"]), rates["images_per_second"], f"{low} - {high}"]
        text += [rates["images_per_second_per_core"], rates["images_per_cpu_second"]]
        texts.append(text)
    _print(title, FEED_COLUMNS, texts, FEED_LEGEND, stream)


def _print(title: str, columns: list[str], rows: Iterable, legend: str, stream) -> None:
    style = {"box": box.SIMPLE_HEAD, "title_justify": "left"}
    shown = table(
        columns,
        rows,
        ("mode",),
        no_wrap=True,
        title=plain(title, "table.title"),
        **style,
    )
    terminal = console(stream, soft_wrap=True)
    terminal.width = max(terminal.width, 120)
    terminal.print(shown)
    terminal.print(plain(legend))


def cells(row: dict) -> tuple[str, ...]:
    """The cells of one row; "-" where a number is missing."""
    rate = row["images_per_second"]
    spread = row["images_per_second_high"] - row["images_per_second_low"]
    trains = row["students"] > 0
    return (
        row["mode"],
        str(row["students"]) if trains else "-",
        str(row["dispatch"]),
        f"{row['compile_seconds']:.1f}",
        _number(rate),
        _percent(spread / rate),
        _number(row["student_images_per_second"]) if trains else "-",
        _number(row["flops_per_second"] / 1e9) if trains else "-",
        _percent(row["flop_utilisation"]),
        _number(row["bytes_per_second"] / 1e9) if trains else "-",
        _percent(row["memory_utilisation"]),
        _percent(row["input_wait"]),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
