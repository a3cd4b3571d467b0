"""A bucket on this machine: `bucket()` starts one, and points all clients at it.

`gcp-storage-emulator`, with what its clients here need and it lacks: TensorStore reads
an object's generation from a header, and the ends of files by their distance from the
end; conditions on a generation are kept in writing and in deleting.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from http.server import ThreadingHTTPServer

NAME = "kdjax-test"  # Google's buckets have three letters at least
ADDRESSES = (
    "TENSORSTORE_GCS_HTTP_URL",
    "STORAGE_EMULATOR_HOST",
    "CLOUD_STORAGE_EMULATOR_ENDPOINT",
)


@contextlib.contextmanager
def bucket(environment):
    """Gives "gs://NAME" while it runs; `environment` is pytest's monkeypatch."""
    import fsspec

    command = [sys.executable, str(pathlib.Path(__file__)), NAME]
    # Its output is its port. It complains of clients that were killed.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True) as server:
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for name in ADDRESSES:
            environment.setenv(name, address)
        environment.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "x")
        environment.setenv("GOOGLE_CLOUD_PROJECT", "x")
        environment.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        fsspec.get_filesystem_class("gs").clear_instance_cache()
        try:
            yield f"gs://{NAME}"
        finally:
            fsspec.get_filesystem_class("gs").clear_instance_cache()
            server.kill()


class _Server(ThreadingHTTPServer):
    """With room for all connections of a save: one too many waits for a second."""

    request_queue_size = 128


_one_at_a_time = threading.Lock()  # the emulator's storage has no locks


def _extended(method: str, plain):
    """A handler that does what the emulator's leaves out, before or after it."""

    def handler(request, response, storage, *rest, **named):
        with _one_at_a_time:
            return extended(request, response, storage, *rest, **named)

    def extended(request, response, storage, *rest, **named):
        bucket_name = request.params.get("bucket_name")
        name = request.params.get("object_id") or request.query.get("name", [""])[0]
        try:
            stored = storage.get_file_obj(bucket_name, name)
        except Exception:  # of the emulator: there is none
            stored = {"generation": "0", "metageneration": "0"}
        wanted = request.query.get("ifGenerationMatch")
        if method != "GET" and wanted and wanted[0] != str(stored["generation"]):
            assert request.data is not None or method == "DELETE"  # it has to be read
            response.status = HTTPStatus.PRECONDITION_FAILED
            return None
        if method == "GET" and name:
            _read_from_the_end(request, storage, bucket_name, name, stored)
            response["x-goog-generation"] = str(stored["generation"])
            response["x-goog-metageneration"] = str(stored["metageneration"])
        return plain(request, response, storage, *rest, **named)

    return handler


def _read_from_the_end(request, storage, bucket_name: str, name: str, stored) -> None:
    """Turns bytes=-N into bytes=FIRST-LAST."""
    asked = request.get_header("range") or ""
    if not asked.startswith("bytes=-") or "name" not in stored:
        return
    size = len(storage.get_file(bucket_name, name))
    first, plain = max(size - int(asked.removeprefix("bytes=-")), 0), request.get_header
    request.get_header = lambda key, default=None: (
        f"bytes={first}-{size - 1}" if key == "range" else plain(key, default)
    )


def serve(name: str) -> None:
    """Serves an empty bucket at a free port, which it prints, until it is killed."""
    from gcp_storage_emulator import server

    server.server.HTTPServer = _Server
    for _, handlers in server.HANDLERS:
        for method, plain in handlers.items():
            handlers[method] = _extended(method, plain)
    emulator = server.create_server("127.0.0.1", 0, True, default_bucket=name)
    emulator.start()
    print(emulator._api._httpd.server_address[1], flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # not longer than the tests
        time.sleep(1)
    emulator.stop()


if __name__ == "__main__":
    serve(sys.argv[1])
