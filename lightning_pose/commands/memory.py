"""How a training on the CPU gets its memory."""

import ctypes
import sys

import torch

__all__ = ["keep_freed_memory"]

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
