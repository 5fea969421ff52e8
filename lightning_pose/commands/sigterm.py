"""What commands other than training do at SIGTERM."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["raising_at_sigterm"]


@contextmanager
def raising_at_sigterm() -> Iterator[None]:
    """Exit by an exception at SIGTERM, so that what is open is closed and what is done is kept.

    Raises:
        SystemExit: The process was sent SIGTERM; its status is 143.
    """

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may handle signals.
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
