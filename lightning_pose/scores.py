"""Which metrics judge which head, and how predictions are brought to them."""

from collections.abc import Mapping
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import Metric

from lightning_pose.batch import Batch, Prediction
from lightning_pose.errors import InputError
from lightning_pose.geometry import apply_affine, crop_scale, invert_affine
from lightning_pose.heads.base import Head
from lightning_pose.metrics import PCK, RMSE, Dice, PCKh
from lightning_pose.skeletons import Skeleton

__all__ = ["Scores", "choose_main_head"]


class Scores(nn.Module):
    """The metrics of every head over one set of people.

    Keypoints are judged in source pixels against the source keypoints, which no transform has
    touched: PCKh@0.5 where the skeleton has a head, PCK@0.2 where it has a torso, and RMSE in
    pixels of the crop. Masks are judged in the crop by Dice.

    Args:
        heads: The heads by name.
        skeleton: The joints.
        main_head: The head whose first metric is the main figure.
    """

    def __init__(self, heads: Mapping[str, Head], skeleton: Skeleton, main_head: str) -> None:
        super().__init__()
        self.main_head = main_head
        joints = skeleton.num_joints
        for name, head in heads.items():
            if head.predicts == "mask":
                chosen: dict[str, Metric] = {"Dice": Dice()}
            else:
                chosen = {"PCKh": PCKh(joints)} if skeleton.head is not None else {}
                chosen |= {"PCK": PCK(joints)} if skeleton.torso is not None else {}
                chosen["RMSE"] = RMSE(joints)
            self.add_module(name, nn.ModuleDict(chosen))

    def _metrics(self, head: str) -> dict[str, Metric]:
        return dict(cast("Mapping[str, Metric]", self.get_submodule(head)))

    def update(self, predictions: Mapping[str, Prediction], batch: Batch) -> None:
        """Count one batch.

        Args:
            predictions: Prediction by head name, in input pixels.
            batch: The persons that they are of.
        """
        to_source, scale = invert_affine(batch.crop), crop_scale(batch.crop)
        for name, prediction in predictions.items():
            metrics = self._metrics(name)
            if prediction.mask is not None:
                known = batch.mask.where(batch.valid, -1)
                metrics["Dice"].update(preds=prediction.mask, target=known)
                continue
            assert prediction.keypoints is not None, "a head predicts keypoints or a mask"
            joints = {
                "preds": apply_affine(to_source, prediction.keypoints.float()),
                "target": batch.source_keypoints,
                "labelled": batch.source_labelled,
            }
            metrics["RMSE"].update(**joints, scale=scale)
            if "PCKh" in metrics:
                metrics["PCKh"].update(**joints, normalizer=batch.head_size)
            if "PCK" in metrics:
                metrics["PCK"].update(**joints, normalizer=batch.torso_size)

    def compute(self) -> dict[str, Float[Tensor, ""]]:
        """Compute the figures over all processes, and begin anew.

        Returns:
            "HEAD/METRIC" to figure, and "main" to the main head's first figure that has a value,
            its sign such that higher is better; NaN where none has.
        """
        figures: dict[str, Tensor] = {}
        main: Tensor | None = None
        for head, _ in self.named_children():
            for kind, metric in self._metrics(head).items():
                figure = figures[f"{head}/{kind}"] = metric.compute()
                metric.reset()
                # Where nobody has a head size, PCKh has no value, nor has it the next time.
                if head == self.main_head and (main is None or main.isnan()):
                    main = figure if metric.higher_is_better else -figure
        assert main is not None, "the main head is one of the heads"
        return {**figures, "main": main}


def choose_main_head(heads: Mapping[str, Head], name: str | None) -> str:
    """Check the heads' names, and say which head is the main one.

    Args:
        heads: The heads by name.
        name: The main head; None takes the first that predicts keypoints, or else the first.

    Returns:
        Its name.

    Raises:
        InputError: There is no head, or none of that name, or a name that a module uses itself.
    """
    if not heads:
        raise InputError("Expected at least one head, found none; add one under model.heads.")
    for head_name in heads:
        # PyTorch keeps modules by attribute: "type" and "keys" are taken already.
        taken = hasattr(nn.ModuleDict, head_name) or hasattr(Scores, head_name)
        taken |= head_name in ("training", "main_head", "loss")  # Attributes of an instance; a key.
        if not head_name.isidentifier() or taken:
            raise InputError(
                "Expected head names of letters, digits and underscores that no PyTorch module "
                f"uses itself, found {head_name!r}; rename it under model.heads."
            )
    if name is None:
        keypoints = [n for n, head in heads.items() if head.predicts == "keypoints"]
        return (keypoints or list(heads))[0]
    if name not in heads:
        raise InputError(
            f"Expected main_head to be one of {sorted(heads)}, found {name!r}; "
            "correct model.main_head."
        )
    return name
