"""`lightning dashboard`: a workspace of Weights & Biases for the runs of a model."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_pose.commands.option_parser import make_parser
from lightning_pose.errors import ConfigError

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

__all__ = ["main"]

_DESCRIPTION = """\
Build the workspace of Weights & Biases in which the runs of a model are compared: each metric over
training and against the weights of the losses, the trade-off between heads, bars per joint, the
heads' gradients, people with their masks, and the table of people.

The checkpoint of any run of the model says which heads, metrics and joints there are. The workspace
is printed as JSON; with --push, it is saved in the project, where it is one view among others.
"""


def main(command: str, argv: Sequence[str]) -> int:
    """Run `lightning dashboard`.

    Args:
        command: "dashboard".
        argv: The arguments after it.

    Returns:
        The exit status, 0.

    Raises:
        ConfigError: W&B's library is not installed, or W&B does not take the workspace.
        CheckpointError: The checkpoint cannot be used.
    """
    options = _parser(command).parse_args(argv)
    if options.push and not options.entity:
        raise ConfigError(
            "Expected --entity with --push, found none; name the user or the team of the project."
        )
    if find_spec("wandb_workspaces") is None:
        raise ConfigError(
            "Expected W&B's library for workspaces, found no package wandb_workspaces; install it "
            "with `pip install wandb-workspaces`."
        )
    # Imported here, so that --help is answered at once.
    from lightning_pose.module import PoseModule
    from lightning_pose.report.dashboard import dashboard

    model = PoseModule.load_from_checkpoint(options.ckpt_path, allow=options.allow)
    evaluation: Any = model.evaluations["val"]
    metrics: dict[str, dict[str, bool]] = {head: {} for head in model.heads}
    for key, higher in evaluation.scores.directions().items():
        head, _, metric = key.partition("/")
        if metric and "/" not in metric:
            metrics[head][metric] = higher
    joints = {key: list(values) for key, values in evaluation.scores.per_joint().items()}
    workspace = dashboard(options.entity, options.project, options.name, metrics, joints)
    if options.push:
        _push(workspace)
        print(f"Dashboard: {workspace.url}")
    else:
        # The library has no public way to write a workspace that is not sent.
        print(workspace._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    parser = make_parser(command, _DESCRIPTION)
    add = parser.add_argument
    add(
        "--ckpt_path", required=True, type=Path, metavar="FILE",
        help="a checkpoint of the model, such as RUN/best.ckpt",
    )  # fmt: skip
    add(
        "--allow", action="append", default=[], metavar="PACKAGE",
        help="a package of your own that the checkpoint may import and run; repeat for more",
    )  # fmt: skip
    add("--entity", default="", help="the user or the team in W&B; needed to push")
    add(
        "--project", default="lightning_pose",
        help="the project with the runs (default: lightning_pose, as in logger/wandb.yaml)",
    )  # fmt: skip
    add("--name", default="Heads and weights", help="the title (default: Heads and weights)")
    add("--push", action="store_true", help="save it in the project; needs the network and a login")
    return parser


def _push(workspace: "Workspace") -> None:
    """Save the workspace in its project as a new view.

    Raises:
        ConfigError: W&B does not take it.
    """
    try:
        workspace.save()  # type: ignore[no-untyped-call]  # Their method has no annotations.
    # Whatever the service, its client or the network raises.
    except Exception as error:
        raise ConfigError(
            f"Expected W&B to save the dashboard, found: {' '.join(str(error).split())[:300]} Log "
            "in with `wandb login`, check --entity, --project and the network, or print the "
            "dashboard without --push."
        ) from error
