"""A row of a preflight as text, for people."""

from kdjax.preflight.memory import told

PARTS = {
    "state": "state",
    "teacher": "teacher",
    "resident_images": "resident images",
    "batch": "batch",
    "padding": "padding of layouts",
    "temporaries": "activations",
    "outputs": "outputs",
    "code": "program",
    "total": "total",
}


def page(row: dict) -> str:
    """What `python -m kdjax compile` prints."""
    lines = [
        f"{row['devices']} x {row['device']}, batch {row['batch_size']:,} "
        f"({row['rows']:,} a device), {row['steps']} step(s) a dispatch: "
        f"compiled in {row['compile_seconds']:.0f} s",
        "",
        *_memory(row),
        "",
        *_work(row),
        *_collectives(row),
        "",
        *_search(row),
    ]
    return "\n".join(lines)


def _memory(row: dict) -> list[str]:
    capacity, lines = row["capacity"], []
    for key, name in PARTS.items():
        if row[key] is not None:
            share = f"{100 * row[key] / capacity:6.1f} %" if capacity else ""
            lines.append(f"  {name:<20}{told(row[key]):>14}{share}")
    if capacity:
        lines.append(f"  {'of a device':<20}{told(capacity):>14}")
    if row["fits"] is None:
        lines.append("  the memory of this device is not known: set --memory=GIB")
    elif row["fits"]:
        lines.append("  it fits")
    else:
        lines += ["  it does not fit:", *(f"  - {text}" for text in row["advice"])]
    return lines


def _work(row: dict) -> list[str]:
    an_image = sum(row["flops_per_image"].values())
    return [
        f"  model FLOPs: {an_image / 1e9:,.2f} G an image, "
        f"{row['flops_per_step'] / 1e12:,.3f} T a step and device"
    ]


def _collectives(row: dict) -> list[str]:
    if row["temporaries"] is None:
        return ["  collectives: not known of a program that was refused"]
    if not row["collectives"]:
        return ["  collectives: none"]
    return [
        f"  {kind}: {sent['count']} a step, {told(sent['bytes'])} on a device"
        for kind, sent in sorted(row["collectives"].items())
    ]


def _search(row: dict) -> list[str]:
    if row["largest_batch"] is None:
        return ["  largest batch: not searched"]
    high = row["smallest_too_large"]
    refused = f"{high:,} does not" if high else "none was too large"
    low = row["largest_batch"]
    fits = f"{low:,} fits" if low else "none fits"
    return [
        f"  largest batch: {fits}, {refused}; measured by compilation, "
        f"{row['probes']} more of them"
    ]
