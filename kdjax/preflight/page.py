"""A row of a preflight as text, for people."""

import textwrap

from kdjax.preflight.memory import size_text
from kdjax.preflight.rows import PARTS

KINDS, WIDE = 12, 38  # lines for kinds of kernels, and letters of a kernel's source
TIMES = {
    "seconds_of_cycles": "by the compiler's cycles",
    "seconds_of_bytes": "byte roof: all of these bytes",
    "seconds_of_flops": "arithmetic roof: the model FLOPs",
}
SMALL = 1 << 20  # bytes, below which a part is not worth a line


def page(row: dict) -> str:
    """What `python -m kdjax compile` prints."""
    many = f", {row['steps']} steps a dispatch" if row["steps"] > 1 else ""
    names = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    flops = row["flops_per_image"]
    dtypes = " and ".join(sorted(flops))
    lines = [
        f"{row['devices']} x {row['device']}, batch {row['batch_size']:,}: "
        f"{row['rows']:,} images a device, {row['feed']}{many}",
        f"images of {'x'.join(map(str, row['image_shape']))}",
        textwrap.fill(f"compiled in {row['compile_seconds']:.0f} s by {names}", 79),
        "",
        *_memory(row),
        "",
        "model FLOPs",
        f"  an image          {sum(flops.values()) / 1e9:12,.2f} G, {dtypes}",
        f"  a step and device {row['flops_per_step'] / 1e12:12,.2f} T",
        "",
        *_collectives(row),
        "",
        *_traffic(row),
        *_times(row),
        *_search(row),
    ]
    return "\n".join(lines)


def _memory(row: dict) -> list[str]:
    capacity = row["capacity"]
    lines = [f"{'memory of a device':<26}{'bytes':>12}" + "   share" * bool(capacity)]

    def line(name: str, count: int, of: int | None = capacity) -> None:
        share = f"{100 * count / of:6.1f} %" if of else ""
        lines.append(f"  {name:<24}{size_text(count):>12}{share}")

    rest = 0
    for key, name in PARTS.items():
        count = row[key] or 0
        if abs(count) >= SMALL:
            line(name, count)
        else:
            rest += count
    if rest:
        line("all else", rest)
    if row["total"] is not None:
        line("together", row["total"])
    if capacity:
        line("available", capacity, of=None)
    if row["fits"] is None:
        lines.append("  this device's memory is not known: give it by --memory=GIB")
    elif row["fits"]:
        lines.append("  it fits")
    else:
        lines += ["  it does not fit:", *(f"  - {text}" for text in row["advice"])]
    return lines


def _collectives(row: dict) -> list[str]:
    if row["padding"] is None:
        return ["collectives: not known of a program that was refused"]
    if not row["collectives"]:
        return ["collectives: none"]
    return ["collectives of a step and device"] + [
        f"  {kind:<18}{sent['count']:>12,} with {size_text(sent['bytes'])}"
        for kind, sent in sorted(row["collectives"].items())
    ]


def _traffic(row: dict) -> list[str]:
    if row["kernels"] is None:
        return []
    lines = [f"{'kernels of a step and device':<42}{'count':>7}{'bytes moved':>18}"]

    def line(name: str, count: int, moved: float) -> None:
        lines.append(f"  {name[:39]:<40}{count:>7,}{moved / 1e6:>15,.1f} MB")

    kinds = list(row["bytes_by_kind"].items())
    for kind, sum_ in kinds[:KINDS]:
        line(kind, sum_["count"], sum_["bytes"])
    if rest := [sum_ for _, sum_ in kinds[KINDS:]]:
        name = f"{len(rest)} more kinds"
        line(name, *(sum(one[key] for one in rest) for key in ("count", "bytes")))
    line("together", row["kernels"], row["bytes_per_step"])
    each = row["bytes_per_image"] / 1e6
    lines += [f"  {'for each image':<47}{each:>15,.1f} MB", ""]
    lines += [f"the {len(row['largest'])} kernels that move most"]
    for kernel in row["largest"]:
        moved = kernel["times"] * kernel["bytes"]
        source = kernel["source"].rpartition("body/")[2][-WIDE:]
        lines.append(f"  {moved / 1e6:>9,.1f} MB  {kernel['kind'][:24]:<25}{source}")
    return [*lines, "", *_loops(row), ""]


def _loops(row: dict) -> list[str]:
    """Loops run their kernels one after the other, and of unknown length wait."""
    lines = []
    if row["steps"] > 1 and not row["cycles"]:  # a TPU's compiler does not write it
        trips = row["dispatch_trips"] or "unknown length: a GPU waits for its host"
        lines.append(f"turns of the loop over a dispatch's steps: {trips}")
    if not row["loops"]:
        return [*lines, "loops inside a step: none"]
    lines.append("loops inside a step, whose turns come one after the other")
    for loop in row["loops"]:
        trips, source = loop["trips"] or "unknown", loop["source"]
        lines.append(f"  {trips:>8} turns  {source.rpartition('body/')[2][-60:]}")
    return lines


def _times(row: dict) -> list[str]:
    """Seconds and images/s of a device, for what is known."""
    lines = []
    for key, name in TIMES.items():
        if seconds := row[key]:
            rate = f"{row['rows'] / seconds:,.0f} images/s"
            lines.append(f"  {name:<40}{1e3 * seconds:>10,.2f} ms{rate:>21}")
    if not lines:
        return []
    return ["time of a step on a device: ESTIMATES, nothing ran", *lines, ""]


def _search(row: dict) -> list[str]:
    if row["largest_batch"] is None:
        return ["largest batch: not searched"]
    low, high = row["largest_batch"], row["smallest_too_large"]
    fits = f"{low:,} fits" if low else "none fits"
    refused = f"{high:,} does not" if high else "none was too large"
    return [f"largest batch: {fits}, {refused} ({row['probes']} more compilations)"]
