"""A part in a file of the user's own, as docs/training.md describes it."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from lightning_pose.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "training.md"

SMALL = (
    "--config=heads/mask_joints.yaml", "--trainer.max_steps=1", "--trainer.limit_val_batches=1",
    "--data.train_size=4", "--data.val_size=4", "--data.batch_size=4", "--data.num_workers=0",
    "--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1",
)  # fmt: skip


def test_a_head_of_ones_own_trains_and_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # As `python -m` does.
    monkeypatch.syspath_prepend(str(tmp_path))
    text = PAGE.read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    Path("my_heads.py").write_text(code)
    (command,) = re.findall(r"^python -m lightning_pose (fit .*my_heads.*)$", text, re.M)
    assert main([*shlex.split(command), *SMALL]) == 0
    (after,) = re.findall(r"^Next: python -m lightning_pose (.*)$", capsys.readouterr().out, re.M)
    assert after.endswith("--allow my_heads")
    Path("IMAGES").mkdir()
    Image.new("RGB", (40, 50), "gray").save("IMAGES/a.png")
    words = shlex.split(after)
    assert main(words[:-2]) == 1
    assert "`--allow` on the command line" in capsys.readouterr().err
    assert main(words) == 0
    assert Path("predictions/overlays/a.jpg").is_file()
