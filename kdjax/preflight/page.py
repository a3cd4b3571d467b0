"""A row of a preflight as text, for people."""

from kdjax.preflight.memory import told
from kdjax.preflight.rows import PARTS

NAMES = {
    "state": "students' state",
    "teacher": "teacher",
    "batch": "batch",
    "ahead": "next batch, sent ahead",
    "padding": "padding of layouts",
    "temporaries": "activations",
    "outputs": "outputs",
    "code": "program",
}
SMALL = 1 << 20  # bytes, below which a part is not worth a line


def page(row: dict) -> str:
    """What `python -m kdjax compile` prints."""
    many = f", {row['steps']} steps a dispatch" if row["steps"] > 1 else ""
    names = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    lines = [
        f"{row['devices']} x {row['device']}, batch {row['batch_size']:,}: "
        f"{row['rows']:,} images a device, {row['feed']}{many}",
        f"images of {'x'.join(map(str, row['image_shape']))}",
        f"compiled in {row['compile_seconds']:.0f} s by {names}",
        "",
        *_memory(row),
        "",
        *_work(row),
        "",
        *_collectives(row),
        "",
        *_search(row),
    ]
    return "\n".join(lines)


def _memory(row: dict) -> list[str]:
    capacity = row["capacity"]
    lines = [f"{'memory of a device':<26}{'bytes':>12}" + "   share" * bool(capacity)]

    def line(name: str, count: int, of: int | None = capacity) -> None:
        share = f"{100 * count / of:6.1f} %" if of else ""
        lines.append(f"  {name:<24}{told(count):>12}{share}")

    data = "images and labels" if row["feed"] == "resident" else "labels"
    rest = 0
    for key in PARTS:
        count = row[key] or 0
        if abs(count) >= SMALL:
            line(NAMES.get(key, data), count)
        else:
            rest += count
    if rest:
        line("all else", rest)
    if row["total"] is not None:
        line("together", row["total"])
    if capacity:
        line("there is", capacity, of=None)
    return lines + _verdict(row)


def _verdict(row: dict) -> list[str]:
    if row["fits"] is None:
        return ["  nobody knows this device's memory: --memory=GIB says it"]
    if row["fits"]:
        return ["  it fits"]
    return ["  it does not fit:", *(f"  - {text}" for text in row["advice"])]


def _work(row: dict) -> list[str]:
    an_image = sum(row["flops_per_image"].values())
    kinds = " and ".join(sorted(row["flops_per_image"]))
    return [
        "model FLOPs",
        f"  an image          {an_image / 1e9:12,.2f} G, {kinds}",
        f"  a step and device {row['flops_per_step'] / 1e12:12,.2f} T",
    ]


def _collectives(row: dict) -> list[str]:
    if row["padding"] is None:
        return ["collectives: not known of a program that was refused"]
    if not row["collectives"]:
        return ["collectives: none"]
    return ["collectives of a step and device"] + [
        f"  {kind:<18}{sent['count']:>12,} with {told(sent['bytes'])}"
        for kind, sent in sorted(row["collectives"].items())
    ]


def _search(row: dict) -> list[str]:
    if row["largest_batch"] is None:
        return ["largest batch: not searched"]
    low, high = row["largest_batch"], row["smallest_too_large"]
    fits = f"{low:,} fits" if low else "none fits"
    refused = f"{high:,} does not" if high else "none was too large"
    return [f"largest batch: {fits}, {refused} ({row['probes']} more compilations)"]
