"""How a training gets its memory, and which of it is searched for garbage."""

import ctypes
import gc
import sys

import torch

__all__ = ["freeze_objects", "keep_freed_memory"]

# Of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER, _LARGEST = -1, 2**31 - 1


def keep_freed_memory(device: torch.device) -> None:
    """Keep freed memory in this process for its next tensors, if it trains on the CPU.

    By default, glibc returns large blocks to the kernel when they are freed, and the next training
    step requests them again, one zeroed page at a time. If they are kept, a step takes less time
    (`benchmarks/freed_memory.py`), and the process holds the memory of its largest step until it
    ends. Without glibc, this does nothing.

    Args:
        device: Where the network trains.
    """
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # Not in every C library of Linux.
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)


def freeze_objects() -> None:
    """Leave all objects that exist now out of the search for garbage, until `gc.unfreeze`.

    Most of them, more than half a million, belong to imported packages and stay until the end.
    Python searches everything only once the new objects are a quarter as many. Until then, charts
    whose objects refer to each other stay in memory, 30 MB after ten validations; and because the
    search writes to every object, each worker then has its own copy, 40 MB, of what it shared with
    this process.
    """
    gc.freeze()
    gc.collect()  # Python compares the new objects with those that the last search left.
