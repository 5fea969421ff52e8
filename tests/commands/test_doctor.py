import errno
import re
from pathlib import Path

import pytest
from PIL import Image

from lightning_pose.cli import main
from lightning_pose.commands import page_file
from lightning_pose.datamodules import leeds
from tests.commands.project import refused
from tests.data.lspet import write_lspet

SYNTHETIC = (
    "doctor", "--config", "combined.yaml",
    "--data.train_size=60", "--data.val_size=30", "--data.test_size=30",
)  # fmt: skip
LSPET = (
    "doctor", "--config", "data/lspet.yaml", "--data.root=lspet",
    "--data.train=[1,8]", "--data.val=[9,12]",
)  # fmt: skip


@pytest.fixture
def lspet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "lspet", count=12)
    return tmp_path / "lspet"


def test_synthetic_people_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(SYNTHETIC) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Nothing is wrong." in out
    assert out.endswith("Report to look at: doctor.html\n")
    assert [path.name for path in tmp_path.iterdir()] == ["doctor.html"]
    text = Path("doctor.html").read_text(encoding="utf-8")
    assert "<h1>Data of combined</h1>" in text
    # Again, in the place of the first.
    assert main([*SYNTHETIC, "--images=5", "--duplicates=false"]) == 0
    assert "<td>5</td>" in Path("doctor.html").read_text(encoding="utf-8")


def test_a_damaged_image_is_wrong(lspet: Path, capsys: pytest.CaptureFixture[str]):
    path = lspet / "images" / "im00010.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    assert main([*LSPET, "--output=report.html"]) == 1
    out = capsys.readouterr().out
    assert "do not train on these data yet" in out
    assert "im00010.jpg" in Path("report.html").read_text(encoding="utf-8")


def test_a_photograph_in_two_splits_is_wrong(lspet: Path, capsys: pytest.CaptureFixture[str]):
    with Image.open(lspet / "images" / "im00003.jpg") as image:
        image.load()
    image.save(lspet / "images" / "im00011.jpg", quality=70)
    assert main([*LSPET]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "1 of 4 images of val" in out


def test_a_missing_test_split_is_said(lspet: Path, capsys: pytest.CaptureFixture[str]):
    main([*LSPET])
    out = " ".join(capsys.readouterr().out.split())
    assert "There is no test split to examine: Expected a range of images within 1 to 12" in out


def test_what_is_missing_is_downloaded_if_asked_for(lspet: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leeds, "fetch", lambda root, archives: Path("lspet").rename(root))
    assert main([*LSPET, "--data.root=new", "--data.download=true"]) in (0, 1)
    assert Path("doctor.html").is_file()


def test_what_was_found_is_printed_even_if_the_page_cannot_be_written(
    lspet: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(page_file, "write_page", full)
    assert main([*LSPET]) == 1
    out, err = capsys.readouterr()
    assert "train" in out
    assert "doctor.html" not in out
    assert "space" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--images=0"], "Expected --images of 1 or more, found 0"),
        (["--output=nowhere/page.html"], "Expected a folder for the page at nowhere, found none"),
        (["--output=lspet"], "Expected no file, or an older page of lightning doctor, at lspet"),
        (["--output=notes.html"], "at notes.html, found something else; choose another --output"),
        (["--data.root=elsewhere"], "found no such folder; correct the root"),
        (["--data.rooot=lspet"], "Expected a command line and configs that fit together"),
        (["--config=nothing.yaml"], "found no 'nothing.yaml'"),
        (["--data.train=[1,99]"], "Expected a range of images within 1 to 12"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    lspet: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    Path("notes.html").write_text("<p>Mine.</p>")
    assert sentence in refused(capsys, *LSPET, *words)
    assert Path("notes.html").read_text() == "<p>Mine.</p>"
    assert not Path("doctor.html").exists()


def test_data_must_be_named(lspet: Path, capsys: pytest.CaptureFixture[str]):
    assert "Expected a config that describes data" in refused(capsys, "doctor")


@pytest.mark.drill
def test_lspe_is_described_as_it_is(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    words = ["doctor", "--config", "data/lspet.yaml", f"--data.root={real_data / 'lspet'}"]
    assert main([*words, "--data.train=[1,4500]", "--images=100"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    # Two photographs of the validation split are known to be among the first 4,500.
    (shared,) = re.findall(r"(\d+) of 750 images of val", out)
    assert int(shared) >= 2
    # About 12 % of the joints are invisible, and 2 % of the people have no mask.
    rows = re.findall(r"(train|val) ([\d,]+) .*? (\d+) % 0.00 % (\d+) %", out)
    assert [(name, count) for name, count, *_ in rows] == [("train", "4,500"), ("val", "750")]
    assert all(86 <= int(joints) <= 90 for _, _, joints, _ in rows)
    assert all(95 <= int(masks) <= 100 for *_, masks in rows)
