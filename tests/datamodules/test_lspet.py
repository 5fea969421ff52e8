from itertools import chain
from pathlib import Path

import albumentations as A
import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_pose.datamodules import LSPExtendedDataModule, PoseDataModule
from lightning_pose.errors import ConfigError
from lightning_pose.input_spec import InputSpec
from tests.data.lspet import write_lspet
from tests.site import Site, publish


def test_the_defaults_are_the_protocol() -> None:
    data = LSPExtendedDataModule("anywhere")
    assert (data.train, data.val, data.test) == ((1, 8500), (8501, 9250), (9251, 10000))
    assert data.input_spec == InputSpec((128, 128), enlarge=1.25)


def test_a_dataset_without_the_people_of_the_protocol_is_refused_at_setup(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", count=3)
    with pytest.raises(ConfigError, match=r"within 1 to 3.*found 1 to 8500"):
        LSPExtendedDataModule(tmp_path / "lspet").setup("fit")


def test_splits_may_be_fractions_or_lists(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", count=10)
    data = LSPExtendedDataModule(tmp_path / "lspet", splits=(0.6, 0.2, 0.2))
    parts = [data.make_dataset(split).person_ids.tolist() for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [6, 2, 2]
    assert (
        sorted(chain.from_iterable(parts))
        == data.everyone().person_ids.tolist()
        == list(range(1, 11))
    )
    other = LSPExtendedDataModule(tmp_path / "lspet", splits=(0.6, 0.2, 0.2), split_seed=1)
    assert other.make_dataset("train").person_ids.tolist() != parts[0]
    lists = tmp_path / "lists"
    lists.mkdir()
    for split, names in (("train", "im00004.jpg\nim00002.jpg\n"), ("val", "im00010.jpg\n")):
        (lists / f"{split}.txt").write_text(names)
    data = LSPExtendedDataModule(tmp_path / "lspet", splits=lists, num_workers=0)
    data.setup("fit")
    (train,), (val,) = data.train_dataloader(), data.val_dataloader()
    assert sorted(train.image_id) == ["im00002.jpg", "im00004.jpg"]
    assert val.person_id.tolist() == [10]


def test_a_config_makes_it(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", count=4)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    config = {
        "class_path": "LSPExtendedDataModule",
        "init_args": {
            "root": str(tmp_path / "lspet"),
            "train": [1, 3],
            "val": [4, 4],
            "batch_size": 2,
            "num_workers": 0,
            "input_spec": {"size": [48, 32], "fit": "stretch"},
            "rotation": 30,
            "scale": [0.75, 1.25],
            "photometric": [
                {
                    "class_path": "albumentations.RandomBrightnessContrast",
                    "init_args": {"brightness_limit": [-0.2, 0.2], "p": 0.5},
                },
                {
                    "class_path": "albumentations.CoarseDropout",
                    "init_args": {"hole_height_range": [0.2, 0.4], "fill": "random_uniform"},
                },
            ],
        },
    }
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, LSPExtendedDataModule)
    assert data.input_spec == InputSpec((48, 32), fit="stretch")
    assert data.scale == (0.75, 1.25)
    assert isinstance(data.photometric[0], A.RandomBrightnessContrast)
    assert isinstance(data.photometric[1], A.CoarseDropout)
    assert data.photometric[1].hole_height_range == (0.2, 0.4)
    data.setup("fit")
    assert next(iter(data.train_dataloader())).image.shape == (2, 3, 48, 32)


def test_real_batches(real_data: Path) -> None:
    if not (real_data / "lspet" / "masks").is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no lspet/masks/")
    data = LSPExtendedDataModule(real_data / "lspet", num_workers=0)
    data.setup("fit")
    train, val = data.train_dataloader(), data.val_dataloader()
    assert (len(train), len(val)) == (265, 24)
    batch = next(iter(val))
    # By the protocol, the box, enlarged by a quarter, fills the crop along its longer side.
    shown = torch.where(batch.labelled[..., None], batch.keypoints, torch.nan)
    low = torch.nan_to_num(shown, nan=torch.inf).amin(dim=1)
    high = torch.nan_to_num(shown, nan=-torch.inf).amax(dim=1)
    torch.testing.assert_close((high - low).amax(dim=1), torch.full((32,), 128 / 1.25))
    torch.testing.assert_close((high + low) / 2, torch.full((32, 2), 63.5), atol=1e-3, rtol=0)
    known = (batch.mask >= 0).all(dim=(1, 2))
    assert ((batch.mask >= 0).any(dim=(1, 2)) == known).all()
    # Joints and masks were made separately: that most joints lie on the masks shows a common frame.
    x, y = batch.keypoints.round().long().unbind(-1)
    on_mask = batch.mask[torch.arange(32)[:, None], y.clamp(0, 127), x.clamp(0, 127)] == 1
    assert on_mask[batch.labelled & known[:, None]].float().mean() > 0.8


def test_it_is_downloaded_if_asked_for(tmp_path: Path, monkeypatch) -> None:
    write_lspet(tmp_path / "published")
    with Site() as site:
        (archive,) = LSPExtendedDataModule.archives
        monkeypatch.setattr(
            LSPExtendedDataModule, "archives", [publish(site, archive, tmp_path / "published")]
        )
        splits = {"train": (1, 4), "val": (5, 6), "num_workers": 0}
        LSPExtendedDataModule(tmp_path / "root", **splits).prepare_data()
        assert not (tmp_path / "root").exists()
        data = LSPExtendedDataModule(tmp_path / "root", **splits, download=True)
        data.prepare_data()
        data.prepare_data()
        assert len(site.asked) == 1
    data.setup("fit")
    assert data.make_dataset("train").image_ids[0] == "im00001.jpg"
