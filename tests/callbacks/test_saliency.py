"""Saliency is the gradient of joints' coordinates in a layer, drawn after every validation."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lightning_pose.backbones import VGG
from lightning_pose.callbacks import Saliency
from lightning_pose.callbacks import saliency as module
from lightning_pose.callbacks.saliency import joint_saliency
from lightning_pose.errors import ConfigError
from lightning_pose.geometry import from_unit
from lightning_pose.heads import FullyConnectedHead, HeatmapHead, MaskHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch
from tests.callbacks.model import loader, make_trainer

SIZE = (32, 48)
LAYER = "backbone.layers.1.0"


def make_model(norm: str | None = "before", **heads: nn.Module) -> PoseModule:
    heads = heads or {"coordinates": FullyConnectedHead([9], dropout=0.5, init="xavier")}
    vgg = VGG([[4], [5]], norm=norm, dropout=0.5)
    return PoseModule(vgg, heads, LSP14, InputSpec(SIZE))


@pytest.fixture
def shown(monkeypatch):
    """The rows of tiles of every picture."""
    pictures = []

    def keep(tiles, skeleton):
        assert skeleton == LSP14
        pictures.append(tiles)
        return np.zeros((8, 8, 3), dtype=np.uint8)

    monkeypatch.setattr(module, "contact_sheet", keep)
    return pictures


@pytest.mark.parametrize("norm", ["before", "after", None])
def test_it_is_how_far_a_joint_moves_when_one_activation_changes(norm: str | None) -> None:
    model = make_model(norm).eval()
    image = torch.rand(1, 3, *SIZE)
    layer = model.network.get_submodule(LAYER)
    maps, keypoints = joint_saliency(model.network, LAYER, "coordinates", [3, 13], image)
    assert maps.shape == (2, 16, 24)
    assert maps.amax(dim=(1, 2)).min() > 0.1

    def points(change: torch.Tensor) -> torch.Tensor:
        handle = layer.register_forward_hook(lambda *found: found[-1] + change)
        with torch.no_grad():
            output = model.network(image)["coordinates"]
        handle.remove()
        return from_unit(output, SIZE)[0]

    change = torch.zeros(1, 5, 16, 24)
    torch.testing.assert_close(keypoints, points(change), atol=1e-4, rtol=0)
    # The cells in which most is seen, and one in a corner.
    cells = [divmod(int(one.argmax()), 24) for one in maps]
    for row, column in (*cells, (0, 0)):
        moves = []
        for channel in range(5):
            change.zero_()[0, channel, row, column] = 0.01
            moves.append((points(change) - points(-change)) / 0.02)
        # Over channels, x and y.
        expected = torch.stack(moves)[:, [3, 13]].abs().amax(dim=(0, 2))
        torch.testing.assert_close(maps[:, row, column], expected, atol=2e-3, rtol=2e-2)


def test_it_changes_neither_the_mode_nor_the_gradients_nor_the_chance() -> None:
    model = make_model().train()
    image = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    one = joint_saliency(model.network, LAYER, "coordinates", [0], image)
    with torch.no_grad():
        other = joint_saliency(model.network, LAYER, "coordinates", [0], image)
    torch.testing.assert_close(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(part.training for part in model.network.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not model.network.get_submodule(LAYER)._forward_hooks


def test_a_person_is_drawn_with_the_truth_and_each_joint(tmp_path: Path, shown: list) -> None:
    model, people = make_model(), make_batch(5, SIZE)
    people.visibility[1, 4] = 0
    callback = Saliency(LAYER, ["head_top", "right_wrist"], people=3)
    trainer = make_trainer(
        callback, max_epochs=2, enable_checkpointing=False, default_root_dir=tmp_path
    )
    batches = [people.select([0, 1]), people.select([2, 3])]
    trainer.fit(model, loader(people), loader(*batches))
    _, rows = shown
    assert [[tile.caption for tile in row] for row in rows] == 3 * [
        ["truth", "head_top", "right_wrist"]
    ]
    truth, head, wrist = rows[1]
    np.testing.assert_array_equal(truth.keypoints, people.keypoints[1])
    np.testing.assert_array_equal(truth.drawn, np.arange(14) != 4)
    maps, points = joint_saliency(model.network, LAYER, "coordinates", [13, 6], people.image[[1]])
    for tile, place, expected in ((head, 13, maps[0]), (wrist, 6, maps[1])):
        np.testing.assert_array_equal(tile.image, people.image[1].permute(1, 2, 0))
        np.testing.assert_array_equal(np.flatnonzero(tile.drawn), [place])
        np.testing.assert_allclose(tile.keypoints, points, atol=1e-4)
        assert tile.saliency.shape == SIZE
        # Between the centres of cells, the map is interpolated.
        assert tile.saliency.max() <= expected.max() + 1e-6
        assert tile.saliency.mean() == pytest.approx(float(expected.mean()), rel=0.05)


def test_every_validation_of_a_training_has_a_picture(tmp_path: Path) -> None:
    people = make_batch(2, SIZE)
    callback = Saliency(LAYER, ["neck"], people=1)
    trainer = make_trainer(
        callback, max_epochs=2, enable_checkpointing=False, default_root_dir=tmp_path
    )
    model = make_model()
    trainer.fit(model, loader(people, people), loader(people))
    folder = tmp_path / "pictures" / "saliency"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["epoch_000_step_000001.png", "epoch_001_step_000003.png"]
    height, width, _ = cv2.imread(str(folder / names[0])).shape
    assert width > 2 * height
    # A validation by itself writes no pictures.
    trainer = make_trainer(callback, enable_checkpointing=False, default_root_dir=tmp_path / "new")
    trainer.validate(model, loader(people), verbose=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("layer", "joints", "message"),
    [
        ("backbone.layers.7", ["neck"], "found 'backbone.layers.7'; did you mean .*layers.1"),
        (LAYER, ["neck", "left_hand"], "found 'left_hand'; did you mean one of left_"),
    ],
)
def test_names_that_the_model_lacks_are_refused_before_training(
    layer: str, joints: list[str], message: str, tmp_path: Path
) -> None:
    trainer = make_trainer(Saliency(layer, joints), max_epochs=1, default_root_dir=tmp_path)
    people = loader(make_batch(2, SIZE))
    with pytest.raises(ConfigError, match=message):
        trainer.fit(make_model(), people, people)


def test_a_layer_or_head_without_a_gradient_is_refused() -> None:
    image = torch.zeros(1, 3, *SIZE)
    model = make_model(coordinates=FullyConnectedHead([9]), mask=MaskHead(channels=4))
    for layer, message in (
        ("heads.coordinates.last", "a map of rows and columns .* found heads.coordinates.last"),
        ("heads.mask.layer", "have a gradient in the layer heads.mask.layer"),
    ):
        with pytest.raises(ConfigError, match=message):
            joint_saliency(model.network, layer, "coordinates", [0], image)
    with pytest.raises(ConfigError, match="coordinates of mask that have a gradient"):
        joint_saliency(model.network, LAYER, "mask", [0], image)
    model = make_model(heatmap=HeatmapHead(decoding="argmax"))
    with pytest.raises(ConfigError, match="coordinates of heatmap that have a gradient"):
        joint_saliency(model.network, LAYER, "heatmap", [0], image)
    assert not model.network.get_submodule(LAYER)._forward_hooks


def test_a_layer_that_will_not_do_is_refused_before_the_first_step(tmp_path: Path) -> None:
    callback = Saliency("heads.coordinates.last", ["neck"])
    trainer = make_trainer(
        callback, max_epochs=1, enable_checkpointing=False, default_root_dir=tmp_path
    )
    people = loader(make_batch(2, SIZE))
    with pytest.raises(ConfigError, match="a map of rows and columns"):
        trainer.fit(make_model(), people, people)
    assert trainer.global_step == 0


@pytest.mark.parametrize(("people", "joints"), [(0, ["neck"]), (1, [])])
def test_a_picture_of_nothing_is_refused(people: int, joints: list[str]) -> None:
    with pytest.raises(ConfigError, match="1 or more people and joints"):
        Saliency(LAYER, joints, people)
