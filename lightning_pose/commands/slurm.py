"""Training in a job of Slurm."""

from collections.abc import Sequence
from typing import Any

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

__all__ = ["slurm_plugins"]


def slurm_plugins(chosen: Sequence[Any]) -> list[ClusterEnvironment]:
    """What keeps Lightning from saving and requeueing a job of Slurm in its own way.

    At the end of a job's time, Lightning would save in the middle of a step, from which a run does
    not resume exactly. `LastCheckpoint` handles the signal instead, and the job's script requeues.

    Args:
        chosen: The plugins of the config.

    Returns:
        The environment, if this process is one that srun has started.
    """
    environment = any(isinstance(plugin, ClusterEnvironment) for plugin in chosen)
    # Lightning looks for torchrun first, which may run in a job of Slurm, too.
    if environment or TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SLURMEnvironment(auto_requeue=False)]
