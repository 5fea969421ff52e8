"""VGG: its layers against a plain list of operations, its maps, and the weights of VGG16."""

from itertools import pairwise
from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from lightning_pose.backbones import VGG
from lightning_pose.backbones import vgg as vgg_module
from lightning_pose.backbones.pretrained import IMAGENET
from lightning_pose.errors import ConfigError
from tests.backbones.written_out import close, max_pool, normalise, randomise, relu


def test_the_default_is_vgg16() -> None:
    with torch.device("meta"):
        vgg = VGG()
        spec = vgg.measure((224, 224))
    weights = [m.weight.numel() for m in vgg.modules() if isinstance(m, nn.Conv2d)]
    # Simonyan and Zisserman's network D, without its fully connected layers.
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    assert weights == [9 * a * b for a, b in pairwise(channels)]
    dense, deep = spec.dense, spec.deep
    assert (dense.channels, dense.stride, dense.height, dense.width) == (512, 16, 14, 14)
    assert (deep.channels, deep.stride, deep.height, deep.width) == (512, 32, 7, 7)


@pytest.mark.parametrize("norm", ["before", "after", None])
def test_it_computes_what_its_operations_written_out_compute(norm: str | None) -> None:
    vgg = randomise(VGG([[4, 5], [6]], norm=norm))
    state = {name: value.detach() for name, value in vgg.state_dict().items()}
    x = image = torch.randn(2, 3, 12, 8)
    step = 2 if norm is None else 3
    for stage, count in enumerate((2, 1)):
        for number in range(count):
            name = f"layers.{stage}.{step * number}"
            x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
            if norm == "before":
                x = normalise(x, vgg.layers[stage][step * number + 1])
            x = relu(x)
            if norm == "after":
                x = normalise(x, vgg.layers[stage][step * number + 2])
        dense, x = x, max_pool(x)
    features = vgg(image)
    close(features.dense, dense)
    close(features.deep, x)


@pytest.mark.parametrize("size", [(1, 1), (17, 50), (48, 32), (23, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    features = VGG([[2], [3], [4]]).eval()(torch.rand(2, 3, *size))
    assert features.dense.shape == (2, 4, -(-size[0] // 4), -(-size[1] // 4))
    assert features.deep.shape == (2, 4, -(-size[0] // 8), -(-size[1] // 8))
    assert features.deep.isfinite().all()


def test_dropout_is_after_each_pooling_and_in_training_only() -> None:
    image = torch.rand(1, 3, 64, 64)
    vgg = VGG([[8], [8]], norm=None, dropout=[0.0, 0.75])
    dropped = vgg(image)
    with torch.no_grad():
        whole = vgg.eval()(image)
    torch.testing.assert_close(dropped.dense, whole.dense)
    kept = dropped.deep != 0
    assert 0.15 < kept.sum() / (whole.deep != 0).sum() < 0.35
    torch.testing.assert_close(dropped.deep[kept], 4 * whole.deep[kept])
    # Numbers are dropped one by one, and not whole channels.
    lost = ~kept & (whole.deep != 0)
    assert (kept.any(dim=(2, 3)) & lost.any(dim=(2, 3))).any()
    # One number is for all stages: the first already changes what the second sees.
    both = VGG([[8], [8]], norm=None, dropout=0.75)
    both.load_state_dict(vgg.state_dict())
    assert not torch.allclose(both(image).dense, whole.dense)


@pytest.mark.parametrize("init", ["kaiming", "xavier"])
def test_its_weights_start_as_asked(init: str) -> None:
    (_, second) = VGG([[32], [64]], norm=None, init=init).layers
    into, out = 9 * 32, 9 * 64
    variance = 2 / into if init == "kaiming" else 2 / (into + out)
    assert float(second[0].weight.detach().var()) == pytest.approx(variance, rel=0.05)
    assert not second[0].bias.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": []}, r"1 to 6 lists of channels.*found \[\]"),
        ({"stages": [[4], []]}, r"found \[\[4\], \[\]\]"),
        ({"stages": [[4], [8, 0]]}, r"found \[\[4\], \[8, 0\]\]"),
        ({"stages": [[1]] * 7}, "1 to 6 lists"),
        ({"stages": [[4], [8]], "dropout": [0.5]}, r"each of 2 stages, found \[0.5\]"),
        ({"norm": "after", "pretrained": "imagenet"}, "VGG.norm before or null .* found after"),
        ({"dropout": 1.0}, "VGG.dropout of 0 or more and below 1, found 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VGG(**settings)


# Initial weights.


@pytest.mark.parametrize(("name", "norm"), [("vgg16_bn", "before"), ("vgg16", None)])
def test_its_layers_have_the_names_that_files_of_weights_have(
    name: str, norm: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = {}

    def note(encoder: nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
        copied.update({key: value.shape for key, value in encoder.state_dict().items()})

    monkeypatch.setattr(
        vgg_module, "create_timm_model", lambda found, *_: found == name and nn.Identity()
    )
    monkeypatch.setattr(vgg_module, "copy_weights", note)
    with torch.device("meta"):
        VGG(norm=norm, pretrained="imagenet")
        theirs = timm.create_model(name).features
    assert copied == {f"features.{key}": v.shape for key, v in theirs.state_dict().items()}


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = VGG([[4, 5], [6]])
    places = {"0.0": 0, "0.1": 1, "0.3": 3, "0.4": 4, "1.0": 7, "1.1": 8}
    state = {
        f"features.{places['.'.join(key.split('.')[1:3])]}.{key.rsplit('.', 1)[1]}": value
        for key, value in first.state_dict().items()
    }
    state["classifier.0.weight"] = torch.zeros(3, 3)
    path = tmp_path / "vgg.pth"
    torch.save(state, path)
    second = VGG([[4, 5], [6]], pretrained=str(path))
    for key, value in second.state_dict().items():
        assert torch.equal(value, first.state_dict()[key]), key
    assert (second.mean, second.std) == IMAGENET
    assert VGG([[4, 5], [6]]).mean == (0.5, 0.5, 0.5)
    with pytest.raises(ConfigError, match=r"to hold features\.7\.weight of shape \(7, 5, 3, 3\)"):
        VGG([[4, 5], [7]], pretrained=str(path))
    with pytest.raises(ConfigError, match=r"an encoder of timm, found 'VGG_bn'"):
        VGG([[4, 5], [6]], pretrained="imagenet")
