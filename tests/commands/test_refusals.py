import errno
from argparse import ArgumentError
from collections.abc import Callable

import numpy as np
import pytest
import torch
import wandb
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset

from lightning_pose.commands.refusals import explain, explain_setting
from lightning_pose.errors import CheckpointError, DataError, InputError


def out_of_memory() -> Exception:
    """What torch raises for more memory than there is."""
    try:
        torch.empty(2**60)
    except RuntimeError as error:
        return error
    raise AssertionError("not reached")


def numpy_out_of_memory() -> Exception:
    """What NumPy raises for more memory than there is."""
    try:
        np.empty(2**63 - 1, np.uint8)
    except MemoryError as error:
        return error
    raise AssertionError("not reached")


def from_a_worker(make: Callable[[], Exception]) -> Exception:
    """An error of a data worker as the training process raises it."""
    try:
        try:
            raise make()
        except MemoryError:
            ExceptionWrapper(where="in DataLoader worker process 0").reraise()
    except (MemoryError, RuntimeError) as error:
        return error
    raise AssertionError("not reached")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ArgumentError(None, "unrecognized\n  arguments: --modle."), "--modle; see `lightning fit"),
        (MisconfigurationException("No gpu."), "their classes accept, found: No gpu; correct"),
        (wandb.errors.CommError("no API key."), "found: no API key; log in with `wandb login`"),
        (OSError(errno.ENOSPC, "No space left"), "found: No space left; free disk space"),
        (OSError(errno.EACCES, "Denied", "a.ckpt"), "found: Denied (a.ckpt); free disk space"),
        (
            torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1."
            ),
            "GPU, found: CUDA out of memory. Tried to allocate 2.00 GiB; use less with a lower "
            "data.batch_size",
        ),
        (MemoryError(), "enough memory, found: none left; use less with a lower data.batch_size"),
        (numpy_out_of_memory(), "found: Unable to allocate 8.00 EiB for an array with shape"),
        (from_a_worker(MemoryError), "enough memory, found: none left; use less with"),
        (from_a_worker(numpy_out_of_memory), "enough memory, found: Unable to allocate 8.00 EiB"),
        (out_of_memory(), "found: DefaultCPUAllocator: can't allocate memory: you tried to"),
        (
            RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
            "one was killed, usually for lack of memory; use fewer data.num_workers",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is"),
            "shared memory (/dev/shm), through which data workers pass",
        ),
        (
            RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer [127.0.0.1]"),
            "found that another one has ended; it says why",
        ),
        (CheckpointError("Expected a,\n found b; do c."), "Expected a, found b; do c."),
    ],
)
def test_what_is_known_becomes_one_sentence(error: Exception, words: str) -> None:
    sentence = explain(error, "fit")
    assert sentence is not None
    assert words in sentence
    assert sentence.startswith("Expected ")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "error",
    [
        ValueError("val_check_interval"),
        RuntimeError("CUDA error"),
        KeyError("heads"),
        AssertionError(),
        OSError("no number"),
        FileNotFoundError(errno.ENOENT, "No such file", "weights.pth"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        type("Error", (Exception,), {"__module__": "wandbox.errors"})("not W&B's"),
    ],
)
def test_what_is_not_known_keeps_its_traceback(error: Exception) -> None:
    assert explain(error, "fit") is None


TREE = """Parser key "data":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'PoseDataModule'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'MyDataModule':
        Parser key "batch_size":
          Expected a <class 'int'>. Got value: many
    - Expected a <class 'NoneType'>
  Given value: NestedArg(key='batch_size', val='many')"""

CHOICES = """Parser key "trainer.precision":
  Does not validate against any of the Union subtypes
  Errors:
    - Expected a <class 'int'>
    - Expected a typing.Literal['16', '32']
  Given value: foo"""


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (
            TREE,
            "Parser key \"data\": Problem with given class_path 'MyDataModule': "
            'Parser key "batch_size": Expected int. Got value: many',
        ),
        (
            CHOICES,
            "Parser key \"trainer.precision\": Expected int; Expected a typing.Literal['16', '32']",
        ),
        (
            "the following arguments are required: data\n",
            "the following arguments are required: data",
        ),
        ("", ""),
    ],
)
def test_the_report_of_the_parser_is_cut_to_its_reason(report: str, reason: str) -> None:
    sentence = explain(ArgumentError(None, report), "fit")
    assert sentence == (
        f"Expected a command line and configs that fit together, found: {reason}; see `lightning "
        "fit --help` for the keys."
    )


def wrapped(by: BaseException, *, cause: bool) -> BaseException:
    """Another error that wraps our own, or that was raised while our own was handled."""
    try:
        try:
            raise DataError("Expected a, found b; do c.")
        except DataError as ours:
            raise by from (ours if cause else None)
    except type(by) as error:
        return error


def test_our_own_sentence_is_found_where_others_wrap_it() -> None:
    sentence = "Expected a, found b; do c."
    assert explain(wrapped(ArgumentError(None, "x"), cause=True), "fit") == sentence
    assert explain_setting(wrapped(ValueError("x"), cause=True)) == sentence
    # An error in the code that handles ours is a bug.
    assert explain(wrapped(KeyError("x"), cause=False), "fit") is None
    assert "found: x; correct the config" in explain_setting(wrapped(ValueError("x"), cause=False))


class Broken(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> object:
        raise DataError("Expected a, found b; do c.")


def test_the_sentence_of_a_worker_process_is_found() -> None:
    with pytest.raises(InputError) as caught:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert "Traceback" in str(caught.value)
    assert explain(caught.value, "fit") == "Expected a, found b; do c."
