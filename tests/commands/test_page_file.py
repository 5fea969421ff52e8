"""The page of a command: it replaces nothing but an older page of that command."""

from pathlib import Path

import pytest

from lightning_pose.commands.page_file import check_page, write_page
from lightning_pose.errors import ConfigError

MARK = '<meta name="generator" content="lightning foo">'


def test_a_page_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "foo.html"
    for number in range(2):
        check_page(path, MARK, "foo")
        write_page(path, f"{MARK}{number}\udcff")
        assert path.read_text() == rf"{MARK}{number}\udcff"
    assert [entry.name for entry in tmp_path.iterdir()] == ["foo.html"]


def test_an_interruption_leaves_the_older_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "foo.html"
    write_page(path, "whole")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_page(path, "new")
    assert path.read_text() == "whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["foo.html"]


def test_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text(f"<p>Mine.</p>{' ' * 1000}{MARK}")
    (tmp_path / "folder.html").mkdir()
    for name in ("mine.html", "folder.html"):
        with pytest.raises(ConfigError, match=r"an older page of lightning foo, at .*something"):
            check_page(tmp_path / name, MARK, "foo")
    with pytest.raises(ConfigError, match="Expected a folder for the page at"):
        check_page(tmp_path / "none" / "foo.html", MARK, "foo")
