"""What makes a step smaller, by what it consists of."""

from kdjax.preflight.memory import told


def of(row: dict, students: int) -> list[str]:
    """Sentences for a row that does not fit, the most useful one first.

    Args:
      row: keys as in `kdjax.preflight.rows.KEYS`.
      students: that share the step.
    """
    found = []
    limit, devices = row["capacity"], row["devices"]
    if row["total"] and limit:
        found.append(f"it is {told(row['total'] - limit)} too large for a device")
    if row["largest_batch"]:
        found.append(f"--batch_size={row['largest_batch']} fits on these devices")
    if row["feed"] == "resident" and row["data"] > (limit or 0) / 4:
        found.append(
            f"the images take {told(row['data'])} on every device; of a streamed set "
            "(config.data.feed) only the batches do"
        )
    if "float32" in row["flops_per_image"]:
        found.append("activations of --config.model.dtype=bfloat16 are half as large")
    if students > 1:
        found.append(f"{students} students share the step; fewer fit easier")
    fixed = row["state"] + row["teacher"] + row["data"]
    if limit and fixed < limit and row["batch_size"] % (2 * devices) == 0:
        found.append(f"{2 * devices} devices halve what each holds of this batch")
    return found
