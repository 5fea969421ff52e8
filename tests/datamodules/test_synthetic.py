import torch

from lightning_pose.datamodules import SyntheticDataModule
from lightning_pose.input_spec import InputSpec


def module(**settings) -> SyntheticDataModule:
    return SyntheticDataModule(
        train_size=6, val_size=3, test_size=2, batch_size=2, num_workers=0, **settings
    )


def people(loader) -> list[int]:
    return [person for batch in loader for person in batch.person_id.tolist()]


def test_every_split_has_its_size_and_its_own_people() -> None:
    data = module()
    data.setup("fit")
    data.setup("test")
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    train, val, test = (people(loader) for loader in loaders)
    assert (len(train), len(val), len(test)) == (6, 3, 2)
    assert len({*train, *val, *test}) == 11


def test_a_batch_has_joints_and_masks_at_the_input_size() -> None:
    data = module(input_spec=InputSpec((96, 64)), image_size=128)
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    assert batch.image.shape == (2, 3, 96, 64)
    assert batch.image_size.tolist() == [[128, 128]] * 2
    assert set(batch.mask.unique().tolist()) == {0, 1}
    assert (batch.visibility > 0).sum() > 20


def test_people_do_not_depend_on_the_seed_but_their_order_does() -> None:
    first, second = module(seed=0), module(seed=1)
    for data in (first, second):
        data.setup("fit")
    one, other = next(iter(first.val_dataloader())), next(iter(second.val_dataloader()))
    assert torch.equal(one.image, other.image)
    orders = [people(data.train_dataloader()) for data in (first, second)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
