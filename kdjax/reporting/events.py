"""The numbers of a run for TensorBoard, which no run depends on."""

import pathlib
import socket
import struct
import time
from collections.abc import Callable

from kdjax.reporting.growing import open_append


class Events:
    """An event file that has each row as soon as it is added.

    tensorboardX's own writer hands rows to a thread, which loses two minutes of them
    where the process is killed, and on a full disk dies: the next row waits for ever.
    """

    def __init__(self, directory: pathlib.Path, start: int, say: Callable[[str], None]):
        """Opens a new file; TensorBoard hides what others say of steps after `start`.

        Where it cannot be written, `say` is given one sentence, and there are no more
        events.
        """
        from tensorboardX.proto import event_pb2

        self._event, self._say, self._directory = event_pb2, say, directory
        self._file = None
        name = f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}"
        try:
            path = _unused(directory / name)
            self._file = open_append(path)
        except OSError as error:
            self._give_up(error)
        version, begins = {"file_version": "brain.Event:2"}, event_pb2.SessionLog.START
        self._write(**version)
        session = event_pb2.SessionLog(status=begins)
        self._write(step=start + 1, **version)
        self._write(step=start + 1, session_log=session)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Writes the numbers of a step."""
        from tensorboardX.summary import scalar

        whole = [scalar(name, value) for name, value in values.items()]
        for other in whole[1:]:
            whole[0].MergeFrom(other)
        if whole:
            self._write(step=step, summary=whole[0])

    def image(self, step: int, name: str, png: bytes) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])  # of its first chunk
        image = {"height": height, "width": width, "colorspace": 4}
        image = Summary.Image(encoded_image_string=png, **image)
        value = Summary.Value(tag=name, image=image)
        self._write(step=step, summary=Summary(value=[value]))

    def summary(self, step: int, values: dict[str, float]) -> None:
        """Nothing: its last rows have them."""

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _write(self, **fields) -> None:
        from tensorboardX.record_writer import masked_crc32c

        if self._file is None:
            return
        event = self._event.Event(wall_time=time.time(), **fields).SerializeToString()
        size = struct.pack("<Q", len(event))
        sums = [struct.pack("<I", masked_crc32c(part)) for part in (size, event)]
        try:
            self._file.write(size + sums[0] + event + sums[1])
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self._file:
            self._file.close()
        self._file = None
        self._say(
            f"TensorBoard: {self._directory} cannot be written: {error}. The run goes "
            "on without it; metrics.jsonl has the same numbers."
        )


def _unused(path: pathlib.Path) -> pathlib.Path:
    """The path, or one like it that is not there: no start writes into another's."""
    number, first = 0, path
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}.{number}")
    return path


def open_events(directory: pathlib.Path, start: int, say) -> list[Events]:
    """The events of a run; none where tensorboardX is not installed."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        return []
    return [Events(directory, start, say)]
