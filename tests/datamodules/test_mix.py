"""A mix of data modules: who is in a batch, by which settings, and the metrics of each set."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser

from lightning_pose.backbones import UNet
from lightning_pose.datamodules import (
    FashionDataModule,
    LSPDataModule,
    LSPExtendedDataModule,
    MixedDataModule,
    PoseDataModule,
    SyntheticDataModule,
)
from lightning_pose.datasets import MixedDataset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.heads import HeatmapHead, MaskHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.sample import PEOPLE_PER_SET
from lightning_pose.skeletons import COCO17, LSP14, MPII16, Skeleton
from tests.data.folder import write_folder
from tests.data.lsp import write_lsp
from tests.data.lspet import write_lspet
from tests.datamodules.recording import QUIET, SaveAt, fit

pytestmark = pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval")

Drawn = dict[tuple[int, int, int], tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_lsp(root / "lsp", count=9)
    write_lspet(root / "lspet", count=22)
    return root


def lsp(root: Path, **settings: Any) -> LSPDataModule:
    splits = {"train": (1, 4), "val": (5, 7), "test": (8, 9)}
    return LSPDataModule(root / "lsp", **{**splits, **settings})


def lspet(root: Path, **settings: Any) -> LSPExtendedDataModule:
    splits = {"train": (1, 16), "val": (17, 20), "test": (21, 22)}
    return LSPExtendedDataModule(root / "lspet", **{**splits, **settings})


def mixed(root: Path, **settings: Any) -> MixedDataModule:
    defaults = {"batch_size": 4, "num_workers": 0, "input_spec": InputSpec((32, 32))}
    sets = {"lspet": lspet(root), "lsp": lsp(root)}
    return MixedDataModule(**{"sets": sets, **defaults, **settings})


def places(people: torch.Tensor) -> list[tuple[int, int]]:
    """Each person as the place of the set and the number in it."""
    return [divmod(person, PEOPLE_PER_SET) for person in people.tolist()]


def people_of(loader: Any) -> list[tuple[int, int]]:
    return [person for batch in loader for person in places(batch.person_id)]


def crops(data: PoseDataModule, epochs: int = 2) -> Drawn:
    """Crop matrix and pixels of everyone, by epoch, person and the how-manieth occurrence."""
    data.setup("fit")
    loader, seen = data.train_dataloader(), {}
    for epoch in range(epochs):
        for batch in loader:
            for person, crop, image in zip(batch.person_id, batch.crop, batch.image, strict=True):
                key = (epoch, int(person), 0)
                while key in seen:
                    key = (*key[:2], key[2] + 1)
                seen[key] = (crop.numpy().tobytes(), image.numpy().tobytes())
    return seen


def test_an_epoch_has_everyone_of_all_sets_once_and_shuffled(root: Path) -> None:
    data = mixed(root)
    data.setup("fit")
    loader = data.train_dataloader()
    everyone = [*((0, number) for number in range(1, 17)), *((1, number) for number in range(1, 5))]
    first, second = people_of(loader), people_of(loader)
    assert sorted(first) == sorted(second) == everyone
    assert first != second
    assert first[:16] != everyone[:16]


def test_evaluation_has_everyone_once_in_order(root: Path) -> None:
    data = mixed(root, weights={"lspet": 0.0, "lsp": 1.0}, people_per_epoch=8)
    data.setup("validate")
    data.setup("test")
    assert people_of(data.val_dataloader()) == [
        *((0, number) for number in (17, 18, 19, 20)),
        *((1, number) for number in (5, 6, 7)),
    ]
    assert people_of(data.test_dataloader()) == [(0, 21), (0, 22), (1, 8), (1, 9)]
    (batch, _) = data.val_dataloader()
    assert batch.image_id == [f"lspet/im000{number}.jpg" for number in range(17, 21)]


def test_weights_are_the_shares_of_the_sets_and_nobody_is_cropped_the_same_twice(
    root: Path,
) -> None:
    seen = crops(mixed(root, weights={"lspet": 1.0, "lsp": 1.0}))
    assert len(seen) == 2 * 20
    from_lsp = [key for key in seen if key[1] >= PEOPLE_PER_SET]
    assert len(from_lsp) == 20
    # Ten of four people: each twice or three times.
    assert {key[2] for key in from_lsp} == {0, 1, 2}
    assert len({seen[key][0] for key in from_lsp}) == 20
    only = crops(mixed(root, weights={"lspet": 0.0, "lsp": 0.5}, people_per_epoch=8))
    assert sorted({key[1] // PEOPLE_PER_SET for key in only}) == [1]
    assert len(only) == 16


def test_an_epoch_may_have_fewer_people_or_more(root: Path) -> None:
    fewer = crops(mixed(root, people_per_epoch=12), epochs=20)
    assert len(fewer) == 20 * 12
    assert {key[2] for key in fewer} == {0}
    assert len({key[1] for key in fewer}) == 20
    uneven = mixed(root, people_per_epoch=10)
    uneven.setup("fit")
    assert [len(batch) for batch in uneven.train_dataloader()] == [4, 4]
    more = crops(mixed(root, people_per_epoch=32), epochs=1)
    assert len(more) == 32
    assert len({key[1] for key in more}) == 20


MIXES = [{}, {"weights": {"lspet": 1.0, "lsp": 2.0}}, {"people_per_epoch": 12}]


@pytest.mark.parametrize("settings", MIXES)
@pytest.mark.parametrize(("workers", "world_size"), [(2, 1), (0, 2), (1, 4)])
def test_workers_and_processes_change_nothing(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    workers: int,
    world_size: int,
) -> None:
    alone = crops(mixed(root, **settings))
    together: dict[tuple[int, int], list[tuple[bytes, bytes]]] = {}
    for rank in range(world_size):
        monkeypatch.setattr(PoseDataModule, "_process", lambda _, rank=rank: (rank, world_size))
        for key, crop in crops(mixed(root, num_workers=workers, **settings)).items():
            together.setdefault(key[:2], []).append(crop)
    expected: dict[tuple[int, int], list[tuple[bytes, bytes]]] = {}
    for key, crop in alone.items():
        expected.setdefault(key[:2], []).append(crop)
    assert {key: sorted(found) for key, found in together.items()} == {
        key: sorted(found) for key, found in expected.items()
    }


@pytest.mark.parametrize("settings", MIXES)
@pytest.mark.parametrize("batches", [2, 3, 7])
def test_a_run_resumes_within_an_epoch(
    root: Path, tmp_path: Path, settings: dict[str, Any], batches: int
) -> None:
    path = tmp_path / "some.ckpt"
    save = SaveAt("on_train_batch_end", batches, path)
    whole = fit(mixed(root, **settings), [save], max_epochs=3)
    assert fit(mixed(root, **settings), ckpt_path=path, max_epochs=3) == whole[batches:]


def test_overfit_batches_are_the_same_ones_every_epoch(root: Path) -> None:
    data = mixed(root, weights={"lspet": 0.0, "lsp": 1.0})
    seen = fit(data, overfit_batches=1, max_epochs=3)
    assert [people for people, _ in seen] == [[1, 2, 3, 4]] * 3


def test_fewer_people_than_a_batch_are_refused_in_several_processes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mixed(root, people_per_epoch=3)
    data.setup("fit")
    assert [len(batch) for batch in data.train_dataloader()] == [3]
    monkeypatch.setattr(PoseDataModule, "_process", lambda _: (0, 2))
    with pytest.raises(ConfigError, match=r"batch_size=4 people .* 2 processes, found 3"):
        mixed(root, people_per_epoch=3).train_dataloader()


def test_inputs_of_unequal_sizes_may_be_drawn_by_weights(root: Path) -> None:
    spec = InputSpec(size=None, short_side=32)
    for settings in MIXES:
        data = mixed(root, input_spec=spec, **settings)
        data.setup("fit")
        sizes = [tuple(size) for b in data.train_dataloader() for size in b.input_size.tolist()]
        assert len(set(sizes)) > 2
        assert {min(size) for size in sizes} == {32}


def test_splits_of_a_set_that_share_people_are_refused(root: Path) -> None:
    sets = {"lspet": lspet(root), "lsp": lsp(root, val=(4, 6))}
    with pytest.raises(DataError, match="in both the train and the val split, found 1"):
        mixed(root, sets=sets).setup("fit")
    # The same numbers in two sets are two people.
    mixed(root, sets={"a": lsp(root), "b": lsp(root)}).setup("fit")


class Sports(LSPDataModule):
    """With a label, whose classes the data module may say wrongly."""

    def __init__(self, root: Path, classes: list[str], said: list[str], **settings: Any) -> None:
        super().__init__(root, train=(1, 4), val=(5, 7), test=(8, 9), **settings)
        self.labels, self.classes = {"sport": said}, classes

    def make_dataset(self, split: Any) -> Any:
        people = super().make_dataset(split)
        people.labels = {"sport": self.classes}
        people.annotations.labels = {"sport": np.ones(len(people), dtype=np.int64)}
        return people


def test_labels_and_joints_are_those_of_the_mix(root: Path) -> None:
    sports = Sports(root / "lsp", ["run", "swim"], ["run", "swim"])
    others = Sports(root / "lsp", ["swim", "row"], ["swim", "row"])
    data = mixed(root, sets={"lspet": lspet(root), "a": sports, "b": others})
    assert data.labels == {"sport": ["run", "swim", "row"]}
    assert data.set_names == ("lspet", "a", "b")
    assert data.skeleton is LSP14
    data.setup("fit")
    labels = {
        place: int(sport)
        for batch in data.train_dataloader()
        for (place, _), sport in zip(places(batch.person_id), batch.labels["sport"], strict=True)
    }
    assert labels == {0: -1, 1: 1, 2: 2}
    assert mixed(root, skeleton="COCO17").make_dataset("val").skeleton is COCO17


def test_a_set_that_is_not_what_its_data_module_says_is_refused(root: Path) -> None:
    wrong = Sports(root / "lsp", ["run", "swim"], ["swim", "run"])
    with pytest.raises(DataError, match=r"labels .*from LSPDataset"):
        mixed(root, sets={"a": wrong}).setup("fit")


def test_a_flip_swaps_the_sides_of_the_mix(root: Path) -> None:
    still = {"rotation": 0.0, "scale": 0.0, "shift": 0.0, "skeleton": MPII16}
    batches = []
    for flip in (0.0, 1.0):
        data = mixed(root, flip=flip, batch_size=20, **still)
        data.setup("fit")
        (batch,) = data.train_dataloader()
        batches.append(batch)
    plain, mirrored = (batch.keypoints[batch.person_id.argsort()] for batch in batches)
    names = MPII16.names
    left, right = names.index("left_knee"), names.index("right_knee")
    torch.testing.assert_close(mirrored[:, left, 0], 31 - plain[:, right, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sets": {}}, "at least one set"),
        ({"skeleton": Skeleton.from_names(["thumb"])}, "some of the joints thumb"),
        ({"weights": {"lsp": 1.0}}, "each of the sets lspet, lsp, found .'lsp': 1.0"),
        ({"weights": {"lsp": 1.0, "lspet": 1.0, "coco": 1.0}}, "each of the sets lspet, lsp"),
        ({"weights": {"lsp": -1.0, "lspet": 1.0}}, "weight of 0 or more"),
        ({"weights": {"lsp": float("nan"), "lspet": 1.0}}, "weight of 0 or more"),
        ({"weights": {"lsp": float("inf"), "lspet": 1.0}}, "weight of 0 or more"),
        ({"weights": {"lsp": 0.0, "lspet": 0.0}}, "above 0 for at least one set"),
        ({"people_per_epoch": 0}, "people_per_epoch of 1 or more, found 0"),
    ],
)
def test_settings_that_make_no_mix_are_refused(
    root: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        mixed(root, **settings)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("batch_size", 8), ("input_spec", InputSpec((64, 64))), ("flip", 0.0), ("photometric", [])],
)
def test_settings_of_a_set_that_would_not_be_used_are_refused(
    root: Path, setting: str, value: Any
) -> None:
    sets = {"lspet": lspet(root), "lsp": lsp(root, **{setting: value})}
    with pytest.raises(ConfigError, match=f"found {setting}=.* in the set lsp; move {setting}"):
        mixed(root, sets=sets)
    # One that is the default says nothing.
    mixed(root, sets={"lsp": lsp(root, batch_size=32)})


def test_a_set_may_have_other_defaults(root: Path, tmp_path: Path) -> None:
    class Wider(FashionDataModule):
        """Which does not repeat the defaults of the class that it extends."""

        def __init__(self, root: Path, rotation: float = 10.0, **settings: Any) -> None:
            super().__init__(root, rotation=rotation, **settings)

    write_folder(tmp_path, count=10)
    for kind in (FashionDataModule, Wider):
        data = mixed(root, sets={"lspet": lspet(root), "fashion": kind(tmp_path)})
        data.setup("fit")
        batches = list(data.train_dataloader())
        assert {tuple(batch.image.shape[2:]) for batch in batches} == {(32, 32)}
        people = places(torch.cat([batch.person_id for batch in batches]))
        assert sorted(Counter(place for place, _ in people).items()) == [(0, 16), (1, 8)]
        assert (data.rotation, data.input_spec) == (30.0, InputSpec((32, 32)))
    for settings in ({"input_spec": InputSpec((64, 64))}, {"rotation": 30.0}):
        with pytest.raises(
            ConfigError, match=f"found {next(iter(settings))}=.* in the set fashion"
        ):
            mixed(root, sets={"fashion": Wider(tmp_path, **settings)})


def test_a_config_makes_it(root: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    lines = {"names": ["left_knee", "right_knee"], "limbs": [[0, 1]], "flip_pairs": [[0, 1]]}
    config = {
        "class_path": "MixedDataModule",
        "init_args": {
            "sets": {
                "drawn": {"class_path": "SyntheticDataModule", "init_args": {"train_size": 5}},
                "lsp": {
                    "class_path": "LSPDataModule",
                    "init_args": {"root": str(root / "lsp"), "train": [1, 4]},
                },
            },
            "skeleton": {**lines, "colours": [[1, 2, 3]], "head": None, "torso": None},
            "weights": {"drawn": 1, "lsp": 3},
            "people_per_epoch": 8,
            "batch_size": 4,
            "num_workers": 0,
        },
    }
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, MixedDataModule)
    assert isinstance(data.sets["drawn"], SyntheticDataModule)
    assert data.skeleton.names == ("left_knee", "right_knee")
    people = data.make_dataset("train")
    assert isinstance(people, MixedDataset)
    assert [len(part) for part in people.sets.values()] == [5, 4]
    assert people[0].keypoints.shape == (2, 2)


def validate(model: PoseModule, data: PoseDataModule, stage: str) -> dict[str, float]:
    trainer = pl.Trainer(**QUIET, precision="32-true")
    run = trainer.validate if stage == "val" else trainer.test
    run(model, data, verbose=False)
    return {key: float(value) for key, value in trainer.callback_metrics.items()}


@pytest.mark.parametrize("stage", ["val", "test"])
def test_the_metrics_of_a_set_are_those_of_evaluating_it_alone(root: Path, stage: str) -> None:
    spec = InputSpec((32, 32))
    heads = {"joints": HeatmapHead(), "mask": MaskHead()}
    model = PoseModule(UNet(width=4), heads, LSP14, spec)
    model.assume_trained(heads)
    found = validate(model, mixed(root, batch_size=3), stage)
    names = ("joints/PCKh", "joints/PCK", "joints/RMSE", "mask/Dice")
    alone = {"lspet": lspet, "lsp": lsp}
    for name, make in alone.items():
        data = make(root, input_spec=spec, num_workers=0)
        figures = validate(model, data, stage)
        for key in names:
            assert found[f"{stage}/{key}/{name}"] == pytest.approx(figures[f"{stage}/{key}"])
        # A set alone has no figures of others, even after a mix.
        assert not [key for key in figures if key.count("/") > 2]
    assert len([key for key in found if key.count("/") == 3]) == len(names) * len(alone)
    assert found[f"{stage}/joints/RMSE/lsp"] != found[f"{stage}/joints/RMSE/lspet"]


def test_each_set_is_downloaded_if_asked_for(root: Path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        "lightning_pose.datamodules.leeds.fetch", lambda *given: asked.append(given)
    )
    data = MixedDataModule({"lspet": lspet(root), "lsp": lsp(root, download=True)})
    data.prepare_data()
    assert [given[0] for given in asked] == [root / "lsp"]
