"""Writing a checkpoint so that the one before it is never lost."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from typing_extensions import override

from lightning_pose.errors import CheckpointError

__all__ = ["AtomicCheckpointIO"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint beside its final place, and renames it once it is safely on disk.

    Lightning's own writes to the folder for temporary files; if that is another file system, it
    then copies over the checkpoint before, so that a process that is killed at that moment, or a
    full disk, leaves neither.
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointError: It cannot be written, for example because the disk is full.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # In memory first, because torch's writer does not say in which way a disk failed it.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        aside = path.with_name(f"{path.name}.part")
        try:
            with aside.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            if not isinstance(error, OSError):
                raise
            raise CheckpointError(
                f"Expected to write {path}, found that it cannot be written ({error.strerror}); "
                "earlier checkpoints are kept: free disk space or correct the permissions, and go "
                "on with --ckpt_path auto."
            ) from error
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power failure, on systems and disks that can."""
    # The checkpoint is in place already; some network drives refuse this, and so does Windows.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
