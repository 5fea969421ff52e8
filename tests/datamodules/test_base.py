import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import albumentations as A
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy

from lightning_pose.batch import Batch
from lightning_pose.datamodules import LSPExtendedDataModule, PoseDataModule, base
from lightning_pose.errors import InputError
from lightning_pose.skeletons import Skeleton
from tests.data.lspet import write_lspet

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, count=20)
    return root


def module(root: Path, **settings: Any) -> LSPExtendedDataModule:
    defaults = {
        "train": (1, 14),
        "val": (15, 20),
        "test": (15, 16),
        "batch_size": 4,
        "num_workers": 0,
        "input_size": (32, 24),
        "photometric": [A.RandomBrightnessContrast(p=1.0)],
    }
    return LSPExtendedDataModule(root, **{**defaults, **settings})


def equal(one: Batch, other: Batch) -> bool:
    values = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch)]
    return all(a == b if isinstance(a, list) else torch.equal(a, b) for a, b in values)


def two_epochs(data: PoseDataModule) -> list[Batch]:
    data.setup("fit")
    loader = data.train_dataloader()
    return [batch for _ in range(2) for batch in loader]


def test_workers_change_nothing(root: Path) -> None:
    alone = two_epochs(module(root))
    assert len(alone) == 6
    assert not torch.equal(alone[0].person_id, alone[3].person_id)
    for workers in (1, 2):
        batches = two_epochs(module(root, num_workers=workers))
        assert all(equal(a, b) for a, b in zip(alone, batches, strict=True))


def niceness(_: object) -> int:
    return os.nice(0)


@pytest.mark.parametrize(("gpu", "more"), [(False, 19), (True, 0)])
def test_workers_make_way_for_a_network_on_the_same_cores(
    root: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, more: int
) -> None:
    monkeypatch.setattr(base, "collate", niceness)
    monkeypatch.setattr(PoseDataModule, "_on_gpu", lambda _: gpu)
    data = module(root, num_workers=1)
    data.setup("fit")
    assert set(data.train_dataloader()) == {min(os.nice(0) + more, 19)}


def test_batch_size_does_not_change_a_persons_augmentation(root: Path) -> None:
    def crops(batches: list[Batch]) -> dict[tuple[int, int], torch.Tensor]:
        seen: dict[tuple[int, int], torch.Tensor] = {}
        for batch in batches:
            for person, crop in zip(batch.person_id.tolist(), batch.crop, strict=True):
                seen[(person, 0) if (person, 0) not in seen else (person, 1)] = crop
        return seen

    # Both divide 14, so that nobody is left out.
    small, large = (crops(two_epochs(module(root, batch_size=size))) for size in (2, 7))
    assert small.keys() == large.keys()
    assert all(torch.equal(small[key], large[key]) for key in small)


def test_evaluation_is_in_order_and_without_chance(root: Path) -> None:
    data = module(root, seed=1)
    data.setup("validate")
    first, second = list(data.val_dataloader()), list(module(root, seed=2).val_dataloader())
    assert torch.cat([batch.person_id for batch in first]).tolist() == list(range(15, 21))
    assert all(equal(a, b) for a, b in zip(first, second, strict=True))
    # An upright crop without a flip.
    assert (first[0].crop[:, 0, 1] == 0).all()
    assert (first[0].crop[:, 0, 0] > 0).all()
    data.setup("test")
    assert [len(batch) for batch in data.test_dataloader()] == [2]


def test_what_a_model_is_given(root: Path) -> None:
    data = module(root)
    assert Skeleton.from_dict(data.skeleton).num_joints == 14
    assert data.input_size == (32, 24)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (4, 3, 32, 24)
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


def test_fewer_people_than_a_batch_are_one_small_batch(root: Path) -> None:
    data = module(root, train=(1, 3), batch_size=32)
    data.setup("fit")
    assert [len(batch) for batch in data.train_dataloader()] == [3]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_one_sentence_also_out_of_a_worker(tmp_path: Path, workers: int) -> None:
    root = tmp_path / "lspet"
    write_lspet(root, count=4)
    picture = root / "images" / "im00002.jpg"
    picture.write_bytes(picture.read_bytes()[:600])
    data = module(root, train=(1, 3), val=(4, 4), num_workers=workers)
    data.setup("fit")
    with pytest.raises(InputError, match=r"^Expected .*im00002\.jpg") as caught:
        list(data.train_dataloader())
    assert "\n" not in str(caught.value)


def test_bad_folders_are_found_at_setup(tmp_path: Path, root: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        module(tmp_path / "none").setup("fit")
    with pytest.raises(InputError, match=r"within 1 to 20.*found 15 to 21"):
        module(root, val=(15, 21)).setup("validate")


def test_pixels_are_not_moved_by_photometric_transforms(root: Path) -> None:
    with pytest.raises(InputError, match="HorizontalFlip"):
        module(root, photometric=[A.HorizontalFlip()])


class Recorder(pl.LightningModule):
    """Learns nothing, and remembers who was in each batch and how the crops were cut."""

    def __init__(self, ask_for_steps: bool = False, stop_at: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.ask_for_steps = ask_for_steps
        self.seen: list[tuple[list[int], float]] = []
        self.stop_at = stop_at

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        if len(self.seen) == self.stop_at:
            raise KeyError("Something breaks in the middle of a batch.")
        self.seen.append((batch.person_id.tolist(), float(batch.crop.sum())))
        return self.weight * 0.0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("val/main", float(self.global_step), batch_size=len(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.ask_for_steps:
            # Lightning then makes the loaders before it has loaded the state of its loops.
            assert self.trainer.estimated_stepping_batches
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAt(Callback):
    """Saves once, in one hook, after so many batches."""

    def __init__(self, hook: str, batches: int, path: Path) -> None:
        self.done = False

        def save(trainer: pl.Trainer, module: Recorder, *args: Any, **kwargs: Any) -> None:
            if len(module.seen) >= batches and not self.done and not trainer.sanity_checking:
                self.done = True
                trainer.save_checkpoint(path)

        setattr(self, hook, save)


QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def fit(
    data: PoseDataModule,
    callbacks: list[Callback] | None = None,
    ckpt_path: Path | None = None,
    ask_for_steps: bool = False,
    stop_at: int | None = None,
    **settings: Any,
) -> list[tuple[list[int], float]]:
    trainer = pl.Trainer(callbacks=callbacks, **{"max_epochs": 4, **QUIET, **settings})
    recorder = Recorder(ask_for_steps, stop_at)
    trainer.fit(recorder, data, ckpt_path=ckpt_path, weights_only=True)
    return recorder.seen


@pytest.mark.parametrize(
    ("hook", "batches", "settings"),
    [
        ("on_train_batch_end", 2, {}),
        ("on_train_batch_end", 3, {}),  # the last of its epoch
        ("on_train_batch_end", 5, {"max_steps": 12, "max_epochs": -1}),
        ("on_train_batch_end", 3, {"limit_train_batches": 2}),
        ("on_validation_end", 2, {"val_check_interval": 1}),
        ("on_validation_start", 3, {}),
        ("on_validation_batch_end", 5, {}),
        ("on_validation_end", 3, {}),
        ("on_train_epoch_end", 3, {}),
        ("on_train_epoch_end", 5, {"max_steps": 12, "max_epochs": -1}),
        ("on_train_epoch_end", 3, {"limit_train_batches": 2}),
    ],
)
def test_a_resumed_run_sees_what_an_uninterrupted_one_would_have(
    root: Path, tmp_path: Path, hook: str, batches: int, settings: dict[str, Any]
) -> None:
    path = tmp_path / "some.ckpt"
    whole = fit(module(root), [SaveAt(hook, batches, path)], **settings)
    steps = torch.load(path, weights_only=True)["global_step"]
    resumed = fit(module(root), ckpt_path=path, **settings)
    assert resumed == whole[steps:]
    assert 0 < len(resumed) < len(whole)


@pytest.mark.parametrize(("hook", "batches"), [("on_train_batch_end", 2), ("on_validation_end", 3)])
def test_resuming_survives_workers_and_a_scheduler_that_asks_for_the_number_of_steps(
    root: Path, tmp_path: Path, hook: str, batches: int
) -> None:
    path = tmp_path / "some.ckpt"
    whole = fit(module(root), [SaveAt(hook, batches, path)], max_epochs=2)
    data = module(root, num_workers=1)
    assert fit(data, ckpt_path=path, ask_for_steps=True, max_epochs=2) == whole[batches:]


def test_a_batch_that_broke_is_seen_again(root: Path, tmp_path: Path) -> None:
    whole = fit(module(root), max_epochs=2)
    path = tmp_path / "broken.ckpt"

    class SaveOnException(Callback):
        def on_exception(self, trainer: pl.Trainer, *args: Any) -> None:
            trainer.save_checkpoint(path)

    with pytest.raises(KeyError, match="breaks"):
        fit(module(root), [SaveOnException()], stop_at=4)
    assert fit(module(root), ckpt_path=path, max_epochs=2) == whole[4:]


def test_a_second_interruption_is_survived_too(root: Path, tmp_path: Path) -> None:
    whole = fit(module(root))
    first, second = tmp_path / "first.ckpt", tmp_path / "second.ckpt"
    fit(module(root), [SaveAt("on_validation_end", 3, first)], max_epochs=2)
    again = fit(module(root), [SaveAt("on_train_batch_end", 5, second)], ckpt_path=first)
    assert again == whole[3:]
    assert fit(module(root), ckpt_path=second) == whole[3 + 5 :]


def test_a_new_trainer_starts_from_the_beginning_and_the_same_one_goes_on(root: Path) -> None:
    data = module(root)
    whole = fit(data)
    assert fit(data) == whole
    trainer = pl.Trainer(max_epochs=1, **QUIET)
    recorder = Recorder()
    trainer.fit(recorder, data)
    assert trainer.fit_loop.max_epochs == 1
    trainer.fit_loop.max_epochs = 3
    trainer.fit(recorder, data)
    assert recorder.seen == whole[:9]


@pytest.mark.parametrize("settings", [{"batch_size": 2}, {"train": (1, 9)}])
@pytest.mark.parametrize("batches", [5, 6])
def test_a_run_does_not_go_on_with_epochs_of_another_length(
    root: Path, tmp_path: Path, batches: int, settings: dict[str, Any]
) -> None:
    path = tmp_path / "some.ckpt"
    fit(module(root), [SaveAt("on_train_batch_end", batches, path)], max_epochs=2)
    for ask_for_steps in (False, True):
        with pytest.raises(InputError, match=r"Expected 3 batches an epoch.*begin a new run"):
            fit(module(root, **settings), ckpt_path=path, ask_for_steps=ask_for_steps)


def test_overfit_batches_are_the_same_ones_every_epoch(root: Path) -> None:
    seen = fit(module(root), overfit_batches=1, max_epochs=3)
    assert [people for people, _ in seen] == [[1, 2, 3, 4]] * 3
    # Not even turned, scaled or mirrored.
    assert len({crop for _, crop in seen}) == 1


def test_lightning_may_not_shard_the_data_itself(root: Path) -> None:
    data = module(root)
    data.trainer = pl.Trainer(strategy=DDPStrategy(), **QUIET)
    with pytest.raises(InputError, match=r"use_distributed_sampler=False"):
        data.setup("fit")
    data.trainer = pl.Trainer(strategy=DDPStrategy(), use_distributed_sampler=False, **QUIET)
    data.setup("fit")


def test_fewer_people_than_processes_are_refused_where_all_must_have_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = module(root, test=(15, 15))
    monkeypatch.setattr(PoseDataModule, "_process", lambda _: (0, 2))
    with pytest.raises(InputError, match="test split for each of 2 processes, found 1"):
        data.test_dataloader()


def test_a_negative_number_of_workers_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="num_workers of 0 or more, found -1"):
        module(root, num_workers=-1)
