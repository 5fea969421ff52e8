"""The losses and metrics of one pass over a validation or test set."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_pose.batch import Batch
from lightning_pose.heads.base import Head
from lightning_pose.metrics.base import PoseMetric
from lightning_pose.metrics.losses import LossMean
from lightning_pose.metrics.scores import Judgement, Scores
from lightning_pose.network import PoseNetwork
from lightning_pose.prediction import Output, Prediction
from lightning_pose.task import Task
from lightning_pose.weightings.base import Weighting

__all__ = ["Evaluation"]


class Evaluation(nn.Module):
    """Sums and counts of every head's loss and metrics, exact over batches and processes.

    Args:
        heads: The heads by name; they are only asked what they predict.
        metrics: The declared metrics by name; each head gets those that apply to the fields that it
            fills.
        task: The joints, the input and the labels.
        main_head: The head whose first metric is the main metric.
        main_metric: The main metric; None for the first metric of the main head.
    """

    def __init__(
        self,
        heads: Mapping[str, Head],
        metrics: Mapping[str, PoseMetric],
        task: Task,
        main_head: str,
        main_metric: str | None,
    ) -> None:
        super().__init__()
        fills = {name: head.fills for name, head in heads.items()}
        labels = {name: head.label for name, head in heads.items() if head.label is not None}
        self.scores = Scores(fills, metrics, task, main_head, main_metric, labels)
        self.losses = nn.ModuleDict({name: LossMean() for name in heads})

    def reset(self) -> None:
        """Reset everything, including what an aborted pass has left."""
        self.scores.reset()
        for loss in self.losses.values():
            cast("LossMean", loss).reset()

    def step(
        self, network: PoseNetwork, batch: Batch, flip: bool, without: Sequence[str]
    ) -> Judgement:
        """Count the losses of a batch and score its predictions.

        Images of unequal size go through the network without their padding, so that a person's
        results do not depend on who else is in the batch.

        Args:
            network: The network in evaluation mode.
            batch: The people.
            flip: Average each output with that for the mirrored image before it is decoded.
            without: Heads that are not scored.

        Returns:
            "judged", the record of each head, and "values", each head's metrics per person, or its
            loss if it has no metric, which the callbacks get as the outputs of the step.
        """
        found: dict[str, list[tuple[list[int], Prediction]]] = {}
        unscored = [name for name in self.scores.unscored if name not in without]
        nobody = torch.full((len(batch),), torch.nan, device=batch.image.device)
        alone = {name: nobody.clone() for name in unscored}
        for places, part in batch.parts():
            outputs = network(part.image)
            for name, terms in network.losses(outputs, part).items():
                cast("LossMean", self.losses[name]).update(terms)
            for name, losses in alone.items():
                losses[places] = _loss_of_each(network.named_heads[name], outputs[name], part)
            if flip:
                outputs = network.flip_average(outputs, part.image)
            for name, prediction in network.decode(outputs, part.image).items():
                found.setdefault(name, []).append((places, prediction))
        predictions = {
            # A diverged head scores badly, but with weight 0 it must not stop the others.
            name: Prediction.join(parts).finite()
            for name, parts in found.items()
            if name not in without
        }
        judgement = self.scores.update(predictions, batch)
        for name, losses in alone.items():
            judgement["values"][name]["loss"] = losses
        return judgement

    def compute(
        self, weighting: Weighting, without: Sequence[str]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses and metrics over all people.

        Args:
            weighting: Combines the losses into the total; a head without labels counts as 0.
            without: Heads that are left out of both.

        Returns:
            The loss of each head that had a label, infinite after divergence, and the total under
            ""; and the metrics of `Scores.compute`.
        """
        means = {name: cast("LossMean", loss).compute() for name, loss in self.losses.items()}
        missing = {name for name, loss in means.items() if name in without or loss.isnan()}
        counted = {n: loss.new_zeros(()) if n in missing else loss for n, loss in means.items()}
        losses = {"": weighting(counted)}
        losses |= {name: loss for name, loss in means.items() if name not in missing}
        figures = self.scores.compute({**dict.fromkeys(missing, torch.nan), **losses})
        hidden = tuple(f"{name}/" for name in without)
        return losses, {k: v for k, v in figures.items() if not k.startswith(hidden)}


def _loss_of_each(head: Head, output: Output, batch: Batch) -> Float[Tensor, " B"]:
    """The loss of each person alone, NaN where nothing is labelled."""
    found = []
    for place in range(len(batch)):
        one = _rows(output, place)
        terms = head.loss(one, head.encode(batch.select([place]), one))
        found.append(terms.mean().where((terms.weight > 0).any(), torch.nan))
    return torch.stack(found).float()


def _rows(output: Output, place: int) -> Output:
    if isinstance(output, Tensor):
        return output[place : place + 1]
    return tuple(value[place : place + 1] for value in output)
