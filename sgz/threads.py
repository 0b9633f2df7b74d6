"""Work shared out over threads, and work done in advance of its use."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from itertools import pairwise


def prefetch(items: Iterable, depth: int) -> Generator:
    """Run an iterable in a thread of its own, `depth` items in advance; its errors come through.

    Closing the generator stops the thread, and closes the iterable if it is a generator.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def offer(entry) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                waiting.put(entry, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                offer((item, None))
                if stop.is_set():
                    break
            offer((None, StopIteration()))
        except BaseException as error:
            offer((None, error))
        finally:
            if stop.is_set() and hasattr(items, "close"):
                items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stop.set()
        thread.join()


class Budget:
    """Something that threads share, such as memory: each takes what it needs, and waits for it.

    Args:
        whole: how much there is.
    """

    def __init__(self, whole: int):
        self.whole = self.left = whole
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, amount: int):
        """Hold an amount; one above the whole is held alone, once all else is given back."""
        amount = min(amount, self.whole)
        with self._changed:
            self._changed.wait_for(lambda: amount <= self.left)
            self.left -= amount
        try:
            yield
        finally:
            with self._changed:
                self.left += amount
                self._changed.notify_all()


def share_out(
    work: Callable[[int, int], object], length: int, pool: Executor | None, bands: int
) -> None:
    """Run work(first, last) on `bands` parts of 0..length: the first here, the others in the pool.

    Errors come through. Without a pool all of it is done here.
    """
    bands = bands if pool else 1
    spans = list(pairwise(length * band // bands for band in range(bands + 1)))
    others = [pool.submit(work, *span) for span in spans[1:]]
    work(*spans[0])
    for other in others:
        other.result()
