"""Files that grow while a run goes on: appended on disks, sent anew to buckets.

A bucket cannot append, and a request for each row would be slow: the whole file is
sent every SEND_EVERY seconds, by a thread, if it has grown. So a process that is killed
loses the rows of that time; one that ends by itself loses none.
"""

import contextlib
import os
import pathlib
import sys
import threading

from kdjax.paths import is_url
from kdjax.paths.files import filesystem

SEND_EVERY = 30.0  # seconds


def open_append(path: pathlib.Path):
    """A binary file to which `write` adds bytes, all or none; `close` it.

    Makes its directory. `flush` returns when a disk has them.
    """
    if is_url(path):
        return Sent(path, path.read_bytes() if path.exists() else b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    return Appended(path)


class Appended:
    """A file on a disk; what a full one took a part of is taken away again."""

    def __init__(self, path: pathlib.Path):
        # No link is followed: in a directory that somebody sends it may lead anywhere.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = open(os.open(path, flags, 0o666), "ab", buffering=0)
        self._size = os.fstat(self.fileno()).st_size

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fileno(), self._size)
            raise
        self._size += len(data)

    def flush(self) -> None:
        os.fsync(self.fileno())

    def close(self) -> None:
        with contextlib.suppress(OSError):  # NFS says here that a disk is full
            self._file.close()


class Sent:
    """A file of a bucket that is kept here too, and sent as a whole."""

    def __init__(self, path: pathlib.Path | str, content: bytes = b""):
        self.path, self._content, self._sent = path, bytearray(content), len(content)
        self._bucket, self._name = filesystem(path)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        self._content += data

    def flush(self) -> None:
        """Nothing: the thread sends it."""

    def close(self) -> None:
        """Sends what is left, or says that it could not: it decides no run's end."""
        self._stop.set()
        self._thread.join()
        try:
            self._send()
        except Exception as error:
            text = f"{self.path} could not be sent: {str(error)[:200]}"
            print(f"{text}; its last rows are lost", file=sys.stderr)

    def _send(self) -> None:
        size = len(self._content)
        if size > self._sent:
            self._bucket.pipe_file(self._name, bytes(self._content[:size]))
            self._sent = size

    def _keep(self) -> None:
        while not self._stop.wait(SEND_EVERY):
            try:
                self._send()
            except Exception as error:  # the next time, or `close`, tries it again
                text = f"{self.path} could not be sent: {str(error)[:200]}"
                print(f"{text}; it is tried again", file=sys.stderr)
