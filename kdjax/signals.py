"""SIGTERM, SIGINT and SIGHUP: one line at once, then the end that fits. Imports no JAX.

Python runs handlers between two instructions of the main thread, which may be inside
XLA for minutes. So a thread reads which signals came (`signal.set_wakeup_fd`), prints
the line, and ends the process where the main thread does not come back and nothing
would be lost.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Seconds. Launchers send one stop twice, such as `timeout` to a process and its group.
REPEAT = 1.0
GRACE = 2.0  # in which the main thread must have come to its handler
UNWIND = 30.0  # in which it must have cleaned up, such as unfinished files
RESUMABLE = 42  # the exit code where the same command goes on from what is saved


class Stopped(KeyboardInterrupt):
    """A signal came where nothing had to be saved. Its line is printed already."""

    def __init__(self, text: str, exit_code: int):
        super().__init__(text)
        self.exit_code = exit_code


class Deferral:
    """A time in which a signal is noted, to be looked at when a step is whole."""

    def __init__(self, doing: Callable[[], str], unsaved: bool):
        """`doing` says what is done about a signal; it is called when one comes.

        While `unsaved` is False there is nothing to save, and a signal ends the
        command as it does elsewhere.
        """
        self.doing, self.unsaved = doing, unsaved
        self.noted, self.interrupts = False, False  # a signal came; it raises

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """While active, a signal raises `Stopped`: what is done here may be left."""
        self.interrupts = True
        try:
            yield
        finally:
            self.interrupts = False


class _Watch:
    """The signals of one command, from its start to its end."""

    def __init__(self, program: str, final: bool):
        self.program, self.resumable, self.over = program, False, False
        self.final = final  # else the process goes on, and nothing here may end it
        self.deferral: Deferral | None = None
        self.last_words: list[Callable[[int, str], None]] = []
        self.first: tuple[int, float] | None = None  # the signal, and when it came
        self.starting = False
        self.printed, self._handled, self._raised_at = threading.Event(), False, 0.0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before, self._resent = {}, 0  # handlers; signals of our own to come
        self.main = threading.get_ident()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def begin(self) -> None:
        for number in SIGNALS:
            # What a shell or nohup has set to be ignored stays ignored.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._handle)
        self._outer = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        self._thread.start()

    def end(self) -> None:
        """Gives the handlers back; of a process that ends, signals are ignored."""
        self.over = True
        os.write(self._writer, b"\0")
        self._thread.join()  # before a signal that it sends again meets another handler
        for number, before in self._before.items():
            # A handler of Python is lost while the interpreter ends, this one is not.
            signal.signal(number, signal.SIG_IGN if self.final else before)
        signal.set_wakeup_fd(self._outer)
        sys.unraisablehook = self._hook
        os.close(self._reader)
        os.close(self._writer)

    def exit_code(self, number: int) -> int:
        return RESUMABLE if self.resumable else 128 + number

    def ending(self) -> int | None:
        """The exit code of a command that `stop` has ended."""
        return self.exit_code(self.first[0]) if self._raised_at else None

    def stop(self) -> None:
        self._raised_at = self._raised_at or time.monotonic()
        number = self.first[0]
        raise Stopped(_name(number), self.exit_code(number))

    def _handle(self, number: int, frame) -> None:
        """In the main thread, between two of its instructions."""
        if self.over or self.starting or _is_unwinding():
            return
        self._handled = True
        self.first = self.first or (number, time.monotonic())
        deferral = self.deferral
        if deferral and deferral.unsaved and not self._raised_at:
            deferral.noted = True
            if deferral.interrupts:
                raise Stopped(_name(number), self.exit_code(number))
            return
        self.stop()

    def _unraisable(self, unraisable) -> None:
        """Is called in place of an exception that a destructor cannot raise."""
        if not isinstance(unraisable.exc_value, Stopped):
            self._hook(unraisable)

    def _listen(self) -> None:
        while True:
            wait = None if self.first is None else 0.3
            if select.select([self._reader], [], [], wait)[0]:
                for number in os.read(self._reader, 64):
                    if number == 0:  # of `end`; what came before it is said
                        return
                    self._came(number)
            self._check_time()

    def _came(self, number: int) -> None:
        if number not in SIGNALS or (self.over and not self._raised_at):
            return
        if self._resent:
            self._resent -= 1
            return
        now = time.monotonic()
        if not self.printed.is_set():
            self.first = self.first or (number, now)
            self._say(f"{_name(number)}: {self._doing()}")
            self.printed.set()
        elif now - self.first[1] < REPEAT or self.over or not self.final:
            return
        elif number != signal.SIGHUP:  # no second request: terminals close after Ctrl-C
            self._say(f"{_name(number)} again: ends at once")
            self._exit(128 + number, "a second signal")

    def _doing(self) -> str:
        deferral = self.deferral
        if deferral and deferral.unsaved:
            rest = "; a second signal ends at once" if self.final else ""
            return f"{deferral.doing()}{rest}"
        if self.resumable:
            same = "the same command" if self.final else "the same call"
            return f"stopped; what was saved is there, {same} goes on from it"
        return "stopped before anything was to be saved; nothing is lost"

    def _check_time(self) -> None:
        """Ends the process where the main thread does not."""
        if self.first is None or self.over:
            return
        number, came = self.first
        deferral, now = self.deferral, time.monotonic()
        if self.starting:
            late = True
        elif self._raised_at:
            late = now - self._raised_at > UNWIND
        else:
            defers = deferral and deferral.unsaved
            late = not self._handled and not defers and now - came > GRACE
        if late and self.final:
            self._exit(self.exit_code(number), f"{_name(number)} came")
        if self._raised_at and not self._resent:
            # JAX and destructors have places that let no exception through.
            self._resent += 1
            signal.pthread_kill(self.main, number)

    def _say(self, text: str) -> None:
        # Not through sys.stderr: the main thread may hold its lock.
        with contextlib.suppress(OSError):
            os.write(2, f"{self.program}: {text}\n".encode())

    def _exit(self, code: int, why: str) -> None:
        for word in self.last_words:
            word(code, why)
        os._exit(code)


_watch: _Watch | None = None


@contextlib.contextmanager
def watched(
    program: str, final: bool = False, starting: bool = False
) -> Iterator[None]:
    """While active, signals end the command `program` in one line.

    Code within raises `Stopped`, or sees it in a `deferred` block; while `starting`,
    see `started`. `final` is for a process that ends afterwards: signals are ignored
    from then on, and its exit code is its own; else `Stopped` comes at the end at the
    latest. In another thread, or within another one, nothing is done.
    """
    global _watch
    if _watch or threading.current_thread() is not threading.main_thread():
        yield
        return
    _watch = watch = _Watch(program, final)
    try:
        watch.starting = starting
        watch.begin()
        yield
        if not final:  # a destructor swallows exceptions, or all was done already
            check()
    finally:
        _watch = None
        watch.end()


@contextlib.contextmanager
def deferred(doing: Callable[[], str], unsaved: bool = True) -> Iterator[Deferral]:
    """While active, a signal is noted instead of ending the command; see `Deferral`."""
    deferral = Deferral(doing, unsaved)
    with watched("kdjax"):
        watch = _watch
        if not watch or threading.get_ident() != watch.main:  # the caller handles them
            yield deferral
            return
        outer, watch.deferral = watch.deferral, deferral
        try:
            yield deferral
        finally:
            watch.deferral = outer


def started() -> None:
    """Modules are imported: until now a signal ends the process at once."""
    if _watch:
        _watch.starting = False


def check() -> None:
    """Raises `Stopped` for a signal that came while something was finished."""
    if _watch and _watch.first and not _watch.over:
        _watch.stop()


def resumable() -> None:
    """From now on the same command goes on from what is saved: exit code 42."""
    if _watch:
        _watch.resumable = True


def finished() -> None:
    """All is done or has failed: signals change the exit code no more."""
    if _watch:
        _watch.over = True


def ending() -> int | None:
    """The exit code where `Stopped` was raised, whatever came of it; else None.

    Whoever asks has caught it: it is not raised again.
    """
    code = _watch.ending() if _watch else None
    if code:
        finished()
    return code


def before_exit(word: Callable[[int, str], None]) -> None:
    """`word(exit code, why)` is called where a signal ends the process at once."""
    if _watch:
        _watch.last_words.append(word)


def leave() -> None:
    """Ends a process that a signal has ended, unless others wait for its word."""
    if _watch and _watch.ending() and not _watch.last_words:
        _watch.printed.wait(GRACE)  # the line, which another thread prints
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_watch.ending())


def _is_unwinding() -> bool:
    """Whether this thread is in an `except`, `finally` or `__exit__` of `Stopped`."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error is not None


def _name(number: int) -> str:
    return signal.Signals(number).name
