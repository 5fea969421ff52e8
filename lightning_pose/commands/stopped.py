"""The exit status of a training that has ended in all of its processes at once."""

import signal

from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lightning_pose.errors import InfiniteLossError

__all__ = ["exit_status"]


def exit_status(ended: SystemExit | InfiniteLossError) -> int:
    """The exit status that a shell expects of a training that was ended by a signal.

    Of several processes, only the first has it, because Lightning kills the first as soon as
    another one ends with a status other than 0. Likewise, only the first says that the loss is
    infinite.

    Args:
        ended: What ended the training.

    Returns:
        130 after Ctrl-C, and 143 after SIGTERM or SIGUSR1; 0 in all processes but the first.

    Raises:
        SystemExit: It was no signal, but for example `--print_config`.
        InfiniteLossError: The loss is infinite, and this is the first process.
    """
    first = getattr(rank_zero_only, "rank", 0) == 0  # An attribute without annotation.
    if isinstance(ended, InfiniteLossError) and not first:
        return 0
    if isinstance(ended, SIGTERMException):
        number = signal.SIGTERM
    # Lightning's own status after Ctrl-C is 1.
    elif isinstance(ended.__context__, KeyboardInterrupt):
        number = signal.SIGINT
    else:
        raise ended
    return 128 + number if first else 0
