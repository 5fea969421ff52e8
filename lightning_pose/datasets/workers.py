"""One result for each person or image, computed in worker processes behind a progress bar."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import Progress
from torch.utils.data import DataLoader, Dataset

from lightning_pose.errors import InputError

__all__ = ["in_workers"]

T = TypeVar("T")


def in_workers(
    function: Callable[[int], T], count: int, num_workers: int, title: str
) -> Iterator[T]:
    """Compute a function of 0, 1, ... in worker processes.

    Processes, because a dataset may keep what it has read last, and is not made for threads.

    Args:
        function: What to compute; of a dataset, for example, the size of an image.
        count: How many results there are.
        num_workers: Processes that compute; 0 computes in this one.
        title: Shown beside the progress bar, if this is a terminal.

    Yields:
        The results in order.

    Raises:
        InputError: The first that the function raised, in order.

    Example:
        >>> list(in_workers(abs, 3, num_workers=0, title="Numbers"))
        [0, 1, 2]
    """
    console = Console(stderr=True)
    loader = DataLoader(
        _Results(function, count), batch_size=8, num_workers=num_workers, collate_fn=list
    )
    with Progress(console=console, disable=not console.is_terminal) as bar:
        for result in bar.track(chain.from_iterable(loader), total=count, description=title):
            if isinstance(result, InputError):
                raise result
            yield result


class _Results(Dataset[T | InputError], Generic[T]):
    """The results of a function, or what is wrong with the input of each.

    An error that a worker raised would arrive with the text of its traceback.
    """

    def __init__(self, function: Callable[[int], T], count: int) -> None:
        self.function = function
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> T | InputError:
        try:
            return self.function(index)
        except InputError as error:
            return error
