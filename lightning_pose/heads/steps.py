"""The order in which recurrent heads predict the joints, one per step."""

from collections.abc import Sequence

from lightning_pose.errors import ConfigError

__all__ = ["check_order"]


def check_order(order: Sequence[str] | None, names: Sequence[str], head: str) -> tuple[str, ...]:
    """The joint of each step, each joint of the skeleton once.

    Args:
        order: The names of the joints in the order of the steps; None for the skeleton's order.
        names: The joints of the skeleton.
        head: The class of the head, for the message.

    Returns:
        The names in the order of the steps.

    Raises:
        ConfigError: A joint is missing, unknown or given twice.

    Example:
        >>> check_order(["neck", "left_hip"], ["left_hip", "neck"], "LSTMHead")
        ('neck', 'left_hip')
    """
    if order is None:
        return tuple(names)
    if sorted(order) != sorted(names):
        raise ConfigError(
            f"Expected {head}.order to name each of {', '.join(names)} once, found "
            f"{', '.join(map(repr, order)) or 'none'}; correct the names, or leave it out for this "
            "order."
        )
    return tuple(order)
