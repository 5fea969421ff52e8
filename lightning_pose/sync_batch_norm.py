"""Statistics of batch norm over all processes of a training."""

from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

__all__ = ["TimmSyncBatchNorm"]


class TimmSyncBatchNorm(TorchSyncBatchNorm):
    """Shares the statistics of batch norm among processes, also in timm's encoders.

    Many of timm's layers hold batch norm and the activation after it in one. PyTorch's own
    conversion, which Lightning uses, takes them for batch norm alone: the network loses these
    activations, without an error.
    """

    def __init__(self) -> None:
        self._plain: dict[str, nn.Module] = {}

    @override
    def apply(self, model: nn.Module) -> nn.Module:
        """Exchange the layers of a model, which keep their parameters and names.

        Args:
            model: The model.

        Returns:
            The model.
        """
        self._plain = {
            name: layer for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)
        }
        converted: nn.Module = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted

    @override
    def revert(self, model: nn.Module) -> nn.Module:
        """Put the layers back that `apply` has exchanged, with their present numbers.

        Args:
            model: The model.

        Returns:
            The model.
        """
        for name, layer in self._plain.items():
            synced = model.get_submodule(name)
            # A buffer is another tensor after the model was moved to another device.
            vars(layer).update({key: vars(synced)[key] for key in ("_parameters", "_buffers")})
            layer.train(synced.training)
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, layer)
        return model
