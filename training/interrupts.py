"""Ctrl-C and SIGTERM, heard at once, also while the main thread is within a step."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

REBOUND_SECONDS = 1.0  # torchrun sends each of its processes the signal that they have already had


class StopSignals:
    """While it is open, a first signal asks to stop, and a second one ends the process.

    Python runs handlers in the main thread, between two steps of its own: half a minute late where
    a step takes so long. Here a thread is told of the signal as it comes.

    Args:
        ask: called in that thread with the first signal's number.
        leave: called in that thread before the process ends on the second.
        numbers: of the signals.
    """

    def __init__(
        self,
        ask: Callable[[int], object],
        leave: Callable[[], object],
        numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM),
    ):
        self.ask, self.leave, self.numbers = ask, leave, numbers

    def __enter__(self) -> "StopSignals":
        self.heard, told = socket.socketpair()
        told.setblocking(False)
        self.told = told
        self.handlers = {n: signal.signal(n, lambda *_: None) for n in self.numbers}
        self.before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        signal.set_wakeup_fd(self.before)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        # Closing alone would not end it: processes that read images hold the other end as well.
        self.heard.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.told.close()
        self.heard.close()

    def _listen(self) -> None:
        first = None
        while number := self.heard.recv(1):
            if number[0] not in self.numbers:
                continue
            if first is None:
                first = time.monotonic()
                self.ask(number[0])
            elif time.monotonic() > first + REBOUND_SECONDS:
                self.leave()
                os._exit(128 + number[0])
