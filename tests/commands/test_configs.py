from pathlib import Path

import pytest

from lightning_pose.commands.configs import (
    SHIPPED_CONFIGS,
    find_config,
    packages,
    read_config,
    split_configs,
    values,
)
from lightning_pose.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_key_without_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("trainer:\n#  max_epochs: 3\n")
    with pytest.raises(ConfigError, match="settings below trainer"):
        read_config(path)


def test_configs_are_found_here_then_in_configs_then_shipped(folder: Path) -> None:
    assert find_config("combined.yaml") == SHIPPED_CONFIGS / "combined.yaml"
    (folder / "configs").mkdir()
    (folder / "configs" / "combined.yaml").touch()
    assert find_config("combined.yaml") == Path("configs/combined.yaml")
    (folder / "combined.yaml").touch()
    assert find_config("combined.yaml") == Path("combined.yaml")
    assert find_config(str(folder / "combined.yaml")) == folder / "combined.yaml"


def test_a_missing_config_lists_near_names() -> None:
    with pytest.raises(ConfigError, match=r"no 'conbined.yaml' .* did you mean combined.yaml"):
        find_config("conbined.yaml")


def test_a_config_in_this_folder_is_near_too(folder: Path) -> None:
    (folder / "mine.yaml").touch()
    with pytest.raises(ConfigError, match=r"did you mean mine\.yaml"):
        find_config("mime.yaml")


def test_a_folder_is_no_config(folder: Path) -> None:
    (folder / "mine.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"no 'mine\.yaml'") as error:
        find_config("mine.yaml")
    assert "did you mean mine.yaml" not in str(error.value)


def test_a_config_is_plain_data(folder: Path) -> None:
    path = folder / "a.yaml"
    path.write_text("data: {root: grün}\n", encoding="utf-8")
    assert read_config(path) == {"data": {"root": "grün"}}
    path.write_text("# Nothing yet.\n")
    assert read_config(path) == {}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"trainer: {", "cannot be read"),
        (b"a: !!python/object/apply:os.getcwd []", "cannot be read"),
        (b"- 1\n", "found a list"),
        (b"text", "found a str"),
    ],
)
def test_a_damaged_config_gets_one_sentence(content: bytes, found: str, folder: Path) -> None:
    (folder / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=found) as caught:
        read_config(folder / "a.yaml")
    assert str(folder / "a.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_configs_are_taken_out_of_the_words_in_their_order(folder: Path) -> None:
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        (folder / name).touch()
    words = ["--x", "1", "-c", "a.yaml", "--config=b.yaml", "--y", "--config", "c.yaml", "--z=2"]
    configs, others = split_configs(words)
    assert configs == [Path("a.yaml"), Path("b.yaml"), Path("c.yaml")]
    assert others == ["--x", "1", "--y", "--z=2"]
    # The parser reports that the value is missing.
    assert split_configs(["--config"]) == ([], ["--config"])


def test_the_values_of_an_option() -> None:
    words = ["--allow", "a", "--allowed", "b", "--allow=c", "--allow"]
    assert values(words, "--allow") == ["a", "c"]
    assert values(words, "--ckpt_path") == []


def test_packages_are_those_of_class_paths_at_any_depth() -> None:
    config = {
        "backbone": {"class_path": "mine.Net", "init_args": {"path": "not.a.class"}},
        "heads": [{"class_path": "MaskHead"}, {"x": [{"class_path": "torch.nn.Linear"}]}],
    }
    assert packages(config) == ["mine", "torch"]
    assert packages(None) == []
