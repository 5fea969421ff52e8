import pytest

from lightning_pose.errors import ConfigError
from lightning_pose.heads.steps import check_order

NAMES = ("hip", "knee", "neck")


def test_the_order_is_the_skeletons_unless_another_is_given():
    assert check_order(None, NAMES, "LSTMHead") == NAMES
    assert check_order(["neck", "hip", "knee"], NAMES, "LSTMHead") == ("neck", "hip", "knee")


@pytest.mark.parametrize(
    "order", [[], ["hip", "knee"], ["hip", "knee", "neck", "neck"], ["hip", "knee", "toe"]]
)
def test_every_joint_is_named_once(order):
    found = ", ".join(map(repr, order)) or "none"
    with pytest.raises(ConfigError, match=rf"LSTMHead\.order .* hip, knee, neck once, .* {found};"):
        check_order(order, NAMES, "LSTMHead")
