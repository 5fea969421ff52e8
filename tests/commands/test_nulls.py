from pathlib import Path

import pytest

from lightning_pose.cli import main
from tests.commands.project import refused


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("data: {init_args: {batch_size: null}}", "data.init_args.batch_size"),
        ("data: {init_args: {flip: null}}", "data.init_args.flip"),
        (
            "model: {heads: {heatmap: {class_path: HeatmapHead, init_args: {sigma: null}}}}",
            "model.heads.heatmap.init_args.sigma",
        ),
        ("model: {lr_interval: null}", "model.lr_interval"),
    ],
)
def test_null_for_a_setting_that_has_to_have_a_value_is_named(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, key: str
) -> None:
    (tmp_path / "nulls.yaml").write_text(setting)
    words = ["--config", "tiny.yaml", "--config", str(tmp_path / "nulls.yaml")]
    sentence = refused(capsys, "fit", *words)
    assert f"Expected a value for {key}, found null" in sentence


def test_null_for_a_setting_that_may_have_none_is_taken(here: Path, tmp_path: Path) -> None:
    (tmp_path / "nulls.yaml").write_text(
        "data: {init_args: {photometric: null, cache: null}}\n"
        "model: {main_metric: null, weighting: null, lr_scheduler: null}\n"
        "trainer: {max_steps: -1, gradient_clip_val: null, callbacks: null}\n"
    )
    words = ["--config", "tiny.yaml", "--config", str(tmp_path / "nulls.yaml")]
    assert main(["fit", *words, "--trainer.fast_dev_run", "true", "--run", "nulls"]) == 0
