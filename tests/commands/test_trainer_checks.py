"""Settings of the trainer that are refused; test_pose_cli.py has those that a user may type."""

import pytest
from pytorch_lightning.callbacks import BatchSizeFinder, EarlyStopping, LearningRateFinder
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry

from lightning_pose.commands.trainer_checks import check_settings
from lightning_pose.errors import ConfigError


def test_strategies_that_divide_the_weights_are_refused() -> None:
    refused = set()
    for name in StrategyRegistry.available_strategies():
        try:
            check_settings(name, [])
        except ConfigError:
            refused.add(name)
    assert {name.split("_")[0] for name in refused} == {"deepspeed", "fsdp"}
    kept = set(StrategyRegistry.available_strategies()) - refused
    assert {"ddp", "ddp_find_unused_parameters_true", "single_device"} <= kept
    assert not any("fsdp" in name or "deepspeed" in name for name in kept)


def test_a_strategy_may_be_an_object() -> None:
    class ModelParallelStrategy(DDPStrategy):
        """Named as that of Lightning, which cannot be built on every machine."""

    check_settings(DDPStrategy(), [])
    with pytest.raises(ConfigError, match="found ModelParallelStrategy"):
        check_settings(ModelParallelStrategy(), [])


@pytest.mark.parametrize("finder", [BatchSizeFinder, LearningRateFinder])
def test_a_setting_that_config_yaml_does_not_have_is_refused(finder: type) -> None:
    harmless = EarlyStopping("val/main")
    check_settings("auto", [harmless])
    with pytest.raises(ConfigError, match=f"found the callback {finder.__name__}"):
        check_settings("auto", [harmless, finder()])
