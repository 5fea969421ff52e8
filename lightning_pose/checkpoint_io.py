"""Writing a checkpoint so that the one before it is never lost."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from typing_extensions import override

from lightning_pose.atomic import replacing
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
        try:
            with replacing(path) as file:
                file.write(content.getbuffer())
        except OSError as error:
            raise CheckpointError(
                f"Expected to write {path}, found that it cannot be written ({error.strerror}); "
                "earlier checkpoints are kept: free disk space or correct the permissions, and go "
                "on with --ckpt_path auto."
            ) from error
