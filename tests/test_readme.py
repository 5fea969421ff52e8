"""The commands in README.md, CONTRIBUTING.md and docs/ exist and are spelt correctly.

.ci/run executes the blocks that install the package and test it. The other commands would train for
minutes or need a run's files, so here their arguments are only checked against the commands.
"""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from PIL import Image

from lightning_pose import metrics
from lightning_pose.cli import main
from lightning_pose.commands.configs import find_config, read_config
from lightning_pose.skeletons import LSP14
from lightning_pose.study import Study
from tests.test_checkpoint import small_model, write

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/cluster.md",
    "docs/comparing.md",
    "docs/data.md",
    "docs/loss_weighting_study.md",
    "docs/metrics.md",
    "docs/own_data.md",
    "docs/prepare.md",
    "docs/reproduction.md",
    "docs/results.md",
    "docs/systems.md",
    "docs/training.md",
    "docs/wandb.md",
)


def blocks(document: str) -> list[str]:
    """The fenced shell blocks of a document, without prompts and output, and inline commands."""
    text = (ROOT / document).read_text()
    # A command without options is only its name in a sentence.
    found = re.findall(r"(?<!`)`(lightning \w+ --[^`]*)`", text)
    for kind, body in re.findall(r"^ *```(\w+)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        if kind == "console":
            typed = re.findall(r"^ *\$ (.*(?:\\\n.*)*)", body, re.MULTILINE)
            found.append("\n".join(typed))
        elif kind in ("bash", "sh", "shell"):
            found.append(body)
    return found


def commands(document: str) -> list[list[str]]:
    """The individual commands of a document, as lists of words."""
    found = []
    for block in blocks(document):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = list(lexer)
            starts = [0, *(n + 1 for n, word in enumerate(words) if word in ("&&", ";", "|"))]
            ends = [*(start - 1 for start in starts[1:]), len(words)]
            found += [words[a:b] for a, b in zip(starts, ends, strict=True) if words[a:b]]
    return found


def status(words: list[str]) -> int:
    """The exit status of the `lightning` command."""
    try:
        return main(words)
    except SystemExit as ended:
        return int(ended.code or 0)


def check_lightning(words: list[str], capsys: pytest.CaptureFixture) -> None:
    """`fit` with a config is parsed in full; other commands must know their options."""
    command, *options = words
    if command.startswith("-") or any(o == "--help" or o.endswith(".help") for o in options):
        assert status(words) == 0
    elif command == "study" and "--study" in options:
        # It passes on what is not its own, and each arm of ours brings further options.
        own = ("--study", "--jobs", "--only", "--output")
        pairs = zip(options, [None, *options], strict=False)
        others = [word for word, before in pairs if word not in own and before not in own]
        study = options[options.index("--study") + 1]
        if study != "my_study.yaml":
            path = find_config(study)
            others += Study.from_dict(read_config(path), path).arms[0].options
        words = ["fit", *others, "--print_config"]
        assert status(words) == 0, capsys.readouterr().err
    elif command == "fit" and "--ckpt_path" not in options:
        assert status([*words, "--print_config"]) == 0, capsys.readouterr().err
    else:
        assert status([command, "--help"]) == 0
        known = capsys.readouterr().out
        for option in options:
            # The help does not show arguments of classes that a config may replace.
            name = re.split(r"[.=]", option)[0]
            assert not option.startswith("--") or name in known, f"No {name} in {command}"


def check_job(words: list[str], capsys: pytest.CaptureFixture) -> None:
    """`sbatch` must name a job file of ours, after its own options; the others are ours."""
    place = next(n for n, word in enumerate(words) if not word.startswith("--"))
    job, options = Path(words[place]), words[place + 1 :]
    assert (ROOT / job).is_file(), f"{job} is not in the repository"
    check_lightning([job.stem, *options], capsys)


def check_pip(words: list[str]) -> None:
    """`pip install` must name our folder, one of our extras, or an option that we know."""
    assert words[0] == "install"
    assert "lightning-pose" not in words, "That is another package, which imports by our name"
    arguments = iter(words[1:])
    for argument in arguments:
        if argument in ("-c", "--constraint", "-r", "--requirement"):
            assert (ROOT / next(arguments)).is_file()
        elif match := re.fullmatch(r"(\.|lightning-pose-multitask)(\[(.+)\])?", argument):
            extras = set((match[3] or "").split(",")) - {""}
            assert extras <= set(PROJECT["optional-dependencies"])
        else:
            assert argument in ("-e", "--editable", "-q", "--quiet", "-U", "--upgrade", "pip")


def check_paths(words: list[str]) -> None:
    """Every word that looks like a path in the repository must exist."""
    for word in words:
        path = word.split("::")[0]
        if not word.startswith("-") and (path.endswith((".py", ".toml")) or "/" in path):
            assert (ROOT / path).exists(), f"{path} is not in the repository"


def check_parts(words: list[str]) -> None:
    """The named parts of `./check` must exist."""
    known = re.findall(r"^(\w+)\(\)", (ROOT / "check").read_text(), re.MULTILINE)
    assert set(words) <= set(known)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_spelt_right(document, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(document):
        while "=" in words[0]:  # NAME=value in front of a command
            words = words[1:]
        match words:
            case [*_, "my_heads.ThinMaskHead"]:
                pass  # tests/commands/test_own_parts.py runs it.
            case ["lightning", *rest] | ["python", "-m", "lightning_pose", *rest]:
                check_lightning(rest, capsys)
            case ["torchrun", *rest]:
                check_lightning(rest[rest.index("lightning_pose") + 1 :], capsys)
            case ["sbatch", *rest]:
                check_job(rest, capsys)
            case ["pip", *rest] | ["python", "-m", "pip", *rest]:
                check_pip(rest)
            case ["pytest", *rest] | ["python", "-m", "pytest", *rest]:
                check_paths(rest)
            case ["ruff", ("format" | "check"), *rest] | ["mypy", *rest]:
                check_paths(rest)
            case ["python", "-m", module, *_] if module.startswith("benchmarks."):
                path = f"{module.replace('.', '/')}.py"
                assert (ROOT / path).is_file(), f"{path} is not in the repository"
            case ["python", path, *_] | ["bash", path]:
                assert (ROOT / path).is_file(), f"{path} is not in the repository"
            case ["./check", *parts]:
                check_parts(parts)
            case [("git" | "cd" | "source" | "export"), *_] | [
                "python" | "python3",
                "-m",
                "venv",
                _,
            ]:
                pass
            case ["tensorboard", "--logdir", _]:
                pass
            case ["wandb", "sweep", path]:
                assert (ROOT / path).is_file(), f"{path} is not in the repository"
            case ["wandb", ("login" | "sync" | "agent"), *_]:
                pass
            case _:
                pytest.fail(f"{document} says `{shlex.join(words)}`, which this test cannot check.")


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "checkpoints" / "combined" / "RUN"
    run.mkdir(parents=True)
    write(run / "best.ckpt", small_model())
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    for name in ("photo.jpg", "group.jpg"):
        Image.new("RGB", (400, 420), "gray").save(tmp_path / name)
    names = {}
    exec(code, names)
    assert names["person"].keypoints.shape == (14, 2)
    assert names["person"].mask.shape == (420, 400)
    with Image.open(tmp_path / "overlay.png") as overlay:
        assert overlay.size == (400, 420)
    assert len(names["people"]) == 2
    assert names["model"].input_spec == small_model().input_spec


def test_the_python_and_the_config_of_the_metrics_page_are_right():
    text = (ROOT / "docs" / "metrics.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    *lines, last = code.rstrip().splitlines()
    expression, value = last.split("  # ")
    names = {}
    exec("\n".join(lines), names)
    assert eval(expression, names).item() == float(value)
    (config,) = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    model = yaml.safe_load(config)["model"]
    declared = {
        name: getattr(metrics, metric["class_path"])(**metric.get("init_args", {}))
        for name, metric in model["metrics"].items()
    }
    found = small_model(metrics=declared, main_metric=model["main_metric"], main_head="heatmap")
    assert set(found.metrics) == set(model["metrics"])


def test_the_metrics_page_has_every_metric_and_its_defaults():
    text = (ROOT / "docs" / "metrics.md").read_text()
    named = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert named == list(metrics.scores.default_metrics(LSP14))
    assert "within 0.5 times the size of the head" in text
    assert metrics.PCKh().threshold == 0.5
    assert "within 0.2 times the size of the torso" in text
    assert (metrics.PCK().threshold, metrics.PCK().size) == (0.2, "torso")
    assert metrics.PCKh().average == metrics.PCK().average == "macro"
    assert (metrics.Dice().average, metrics.Dice().threshold) == ("samplewise", 0.5)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_valid_shell(document):
    for block in blocks(document):
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
        assert done.returncode == 0, f"{document}: {done.stderr}{block}"


@pytest.mark.parametrize("name", ["install", "test"])
def test_the_gate_finds_its_blocks(name):
    text = (ROOT / "README.md").read_text()
    assert text.count(f"<!-- {name} -->") == 1
    assert f"\n<!-- {name} -->\n```bash\n" in text, "The block follows its marker at once"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_into_the_repository_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / document).read_text()):
        if not re.match(r"[a-z]+:", target):
            there = (ROOT / document).parent / target
            assert there.exists(), f"{document} links to {target}, which is not there"
