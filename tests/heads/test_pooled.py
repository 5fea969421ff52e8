import pytest
import timm
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.heads.pooled import FrozenClassifier, PooledLayers

CLASSIFIER = "test_resnet"


def with_padding(height, width, size=(64, 96)):
    """Two images, the second of which is padded from a smaller size."""
    valid = torch.zeros(2, *size, dtype=torch.bool)
    valid[0] = True
    valid[1, :height, :width] = True
    return valid


@pytest.mark.parametrize("name", ["dense", "deep"])
def test_the_mean_of_the_chosen_map_is_taken_over_the_image_without_its_padding(name):
    maps = {"dense": torch.randn(2, 5, 16, 24), "deep": torch.randn(2, 7, 4, 6)}
    spec = FeatureSpec(MapSpec(5, 4, 16, 24), MapSpec(7, 16, 4, 6))
    layers = PooledLayers(spec, 3, name, hidden=None)
    # From row 30 and column 50 on, cells hold only padding from the next multiple of the stride.
    whole = layers(Features(**maps, valid=with_padding(30, 50)))
    stride = 64 // maps[name].shape[2]
    alone = maps[name][1:, :, : -(-30 // stride), : -(-50 // stride)]
    torch.testing.assert_close(whole[1], layers.last(alone.mean(dim=(2, 3)))[0])
    torch.testing.assert_close(whole[0], layers.last(maps[name][:1].mean(dim=(2, 3)))[0])
    torch.testing.assert_close(layers(Features(**maps))[0], whole[0])


def test_the_hidden_layer_has_a_relu():
    maps = torch.randn(4, 7, 4, 6)
    spec = MapSpec(7, 16, 4, 6)
    layers = PooledLayers(FeatureSpec(spec, spec), 3, "deep", hidden=8)
    hidden = layers.hidden[0](maps.mean(dim=(2, 3)))
    assert (hidden < 0).any()
    torch.testing.assert_close(layers(Features(maps, maps)), layers.last(hidden.clamp_min(0)))


def test_the_features_of_the_classifier_are_those_of_timm():
    torch.manual_seed(0)
    ours = FrozenClassifier(CLASSIFIER, None)
    theirs = timm.create_model(CLASSIFIER, num_classes=0).eval()
    state = {name.removeprefix("model."): v for name, v in ours.encoder.state_dict().items()}
    theirs.load_state_dict(state)
    image = torch.rand(2, 3, 64, 96)
    config = timm.models.get_pretrained_cfg(CLASSIFIER)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (config.mean, config.std))
    expected = theirs((image - mean) / std)
    torch.testing.assert_close(ours(image, None), expected)
    assert ours.channels == expected.shape[1]


def test_the_features_of_an_efficientnet_are_those_of_its_stages():
    ours = FrozenClassifier("test_efficientnet", None)
    theirs = timm.create_model("test_efficientnet", num_classes=0).eval()
    state = {name.removeprefix("model."): v for name, v in ours.encoder.state_dict().items()}
    rest = theirs.load_state_dict(state, strict=False)
    # The convolution that follows the stages is left out.
    assert {name.split(".")[0] for name in rest.missing_keys} == {"conv_head", "bn2"}
    assert not rest.unexpected_keys
    image = torch.rand(2, 3, 64, 96)
    config = timm.models.get_pretrained_cfg("test_efficientnet")
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (config.mean, config.std))
    maps = theirs.blocks(theirs.bn1(theirs.conv_stem((image - mean) / std)))
    torch.testing.assert_close(ours(image, None), maps.mean(dim=(2, 3)))
    assert ours.channels == maps.shape[1] < theirs.num_features


@pytest.mark.parametrize("size", [(64, 96), (63, 49)])
def test_the_classifier_takes_images_of_any_size_and_pools_no_padding(size):
    classifier = FrozenClassifier(CLASSIFIER, None)
    image = torch.rand(2, 3, *size)
    plain = classifier(image, torch.ones(2, *size, dtype=torch.bool))
    torch.testing.assert_close(plain, classifier(image, None))
    # Its cells see their neighbours: only the padding beyond those changes nothing.
    valid = torch.zeros(2, 64, 256, dtype=torch.bool)
    valid[:, :, :64] = True
    black = torch.rand(2, 3, 64, 256)
    white = black.clone()
    white[:, :, :, 224:] = 1
    assert not torch.equal(classifier(black, None), classifier(white, None))
    near = classifier(black, valid) - classifier(white, valid)
    assert near.abs().max() < 1e-6


def test_the_classifier_is_never_trained():
    classifier = FrozenClassifier(CLASSIFIER, None)
    spec = FeatureSpec(MapSpec(5, 4, 16, 24), MapSpec(5, 4, 16, 24))
    layers = PooledLayers(spec, 3, "dense", 8, classifier).train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    maps = torch.randn(2, 5, 16, 24)
    optimizer = torch.optim.SGD(layers.parameters(), lr=1.0)
    layers(Features(maps, maps, rgb=torch.rand(2, 3, 64, 96))).square().sum().backward()
    optimizer.step()
    assert not any(part.training for part in classifier.modules())
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert layers.last.weight.grad.any()


def test_what_it_says_depends_on_the_image_alone():
    classifier = FrozenClassifier(CLASSIFIER, None).train()
    image = torch.rand(4, 3, 64, 64)
    one_by_one = torch.cat([classifier(one[None], None) for one in image])
    torch.testing.assert_close(classifier(image, None), one_by_one, rtol=1e-4, atol=1e-5)


def test_weights_come_from_a_file(tmp_path):
    path = tmp_path / "classifier.pth"
    torch.manual_seed(1)
    torch.save(timm.create_model(CLASSIFIER).state_dict(), path)
    image = torch.rand(1, 3, 64, 64)
    first, second = (FrozenClassifier(CLASSIFIER, str(path))(image, None) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, FrozenClassifier(CLASSIFIER, None)(image, None))


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("resnett50", None, r"an encoder of timm, found 'resnett50'; did you mean"),
        ("hf-hub:timm/resnet18", None, r"an encoder of timm, found 'hf-hub:timm/resnet18'"),
        (CLASSIFIER, "weights.pth", r"file of weights, found 'weights.pth'"),
        (CLASSIFIER, "pypi", r"with pretrained 'pypi', found 'test_resnet'"),
    ],
)
def test_a_wrong_classifier_is_refused(name, pretrained, message):
    with pytest.raises(ConfigError, match=message):
        FrozenClassifier(name, pretrained)


def test_the_features_of_the_classifier_are_joined_and_leave_out_the_padding_too():
    classifier = FrozenClassifier(CLASSIFIER, None)
    spec = FeatureSpec(MapSpec(5, 4, 16, 24), MapSpec(5, 4, 16, 24))
    layers = PooledLayers(spec, 3, "dense", None, classifier)
    maps, rgb, valid = torch.randn(2, 5, 16, 24), torch.rand(2, 3, 64, 96), with_padding(32, 48)
    mean = torch.stack((maps[0].mean(dim=(1, 2)), maps[1, :, :8, :12].mean(dim=(1, 2))))
    expected = layers.last(torch.cat((mean, classifier(rgb, valid)), dim=1))
    torch.testing.assert_close(layers(Features(maps, maps, rgb=rgb, valid=valid)), expected)
    assert not torch.allclose(classifier(rgb, valid)[1], classifier(rgb, None)[1])
