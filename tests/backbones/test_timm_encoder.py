"""Encoders of timm: their maps, and which are refused."""

import pytest
import timm
import torch

from lightning_pose.backbones.timm_encoder import TimmEncoder, create_timm_model
from lightning_pose.errors import ConfigError


# The maps of the last one have their channels last.
@pytest.mark.parametrize("name", ["resnet18", "test_convnext", "mambaout_femto"])
def test_maps_go_from_fine_to_coarse_with_channels_first(name: str) -> None:
    encoder = TimmEncoder(name)
    side = 2 * encoder.stride
    maps = encoder(torch.rand(1, 3, side, side))
    assert [value.shape[2] for value in maps] == sorted((v.shape[3] for v in maps), reverse=True)
    assert maps[-1].shape == (1, encoder.channels, 2, 2)
    channels = timm.create_model(name, features_only=True).feature_info.channels()
    assert [value.shape[1] for value in maps] == channels


def test_creating_one_changes_no_statistics() -> None:
    encoder = TimmEncoder("test_resnet")
    assert encoder.training
    for name, value in encoder.state_dict().items():
        if "running" in name or "tracked" in name:
            assert torch.equal(value, torch.full_like(value, "var" in name)), name


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet19", "an encoder of timm, found 'resnet19'; did you mean one of .*'resnet18'"),
        ("swin_tiny_patch4_window7_224", "any size, found that swin_tiny_patch4_window7_224"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TimmEncoder(name)


def test_options_that_a_model_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Expected timm's test_resnet to take .*wings"):
        create_timm_model("test_resnet", None, {"wings": 2})
