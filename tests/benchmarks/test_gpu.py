"""The benchmark of GPUs needs few packages, and says where there is no GPU."""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ABSENT = ("pytorch_lightning", "torchmetrics", "cv2", "albumentations", "timm", "PIL", "scipy")


def test_without_a_gpu_it_says_so_in_a_sentence_and_needs_few_packages():
    # None in sys.modules makes an import fail.
    code = (
        f"import runpy, sys\nsys.modules.update(dict.fromkeys({ABSENT}))\n"
        f"sys.path.insert(0, {str(BENCHMARKS)!r})\nsys.argv = ['gpu.py']\n"
        f"runpy.run_path({str(BENCHMARKS / 'gpu.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        cwd=BENCHMARKS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    sentence = "Expected a GPU with CUDA, found none; run this benchmark where there is one."
    assert done.stderr.splitlines() == [sentence]
    assert done.returncode == 1
