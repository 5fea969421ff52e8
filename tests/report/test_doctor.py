import re
from dataclasses import replace
from html.parser import HTMLParser

from lightning_pose.diagnosis import Finding
from lightning_pose.report.doctor import MARK, overview, page, verdict
from tests.diagnosis.drawn import Planted, drawn

SENTENCE = "Half of <b>it</b> & more."


def examined(*severities: str):
    found = Planted(train=drawn()[:8], val=drawn("val")[:8]).examine()
    findings = tuple(Finding(s, "val", f"Title {s}", SENTENCE, (3, 1)) for s in severities)
    return replace(found, findings=findings)


class Tags(HTMLParser):
    """Checks that every element is closed where it should be, and keeps what refers elsewhere."""

    EMPTY = ("meta", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.EMPTY and tag != "path":
            self.open.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_other_file():
    text = page(examined("wrong", "suspicious", "unknown"), "lspet")
    tags = Tags(text)
    assert tags.open == []
    assert tags.references
    assert all(source.startswith("data:image/jpeg;base64,") for source in tags.references)
    assert not re.search(r"https?:|url\(|@import|<script", text)
    assert MARK in text[:1000]
    assert "prefers-color-scheme: dark" in text


def test_what_comes_from_files_is_escaped():
    found = examined("wrong")
    found.parts[0].table.image_id = found.parts[0].table.image_id.astype("U64")
    found.parts[0].table.image_id[:] = "<img src=x onerror=alert(1)>"
    renamed = replace(found.parts[1], name="val/<i>")
    text = page(replace(found, parts=(found.parts[0], renamed)), "a<script>")
    assert "<script" not in text
    assert "<i>" not in text
    assert "onerror=alert(1)>" not in text
    assert "&lt;b&gt;it&lt;/b&gt; &amp; more." in text


def test_findings_are_grouped_and_show_their_people():
    text = page(examined("wrong", "suspicious", "unknown"), "lspet")
    wrong, suspicious, unknown, people = (
        text.index(heading)
        for heading in ("Wrong: mend", "Suspicious: look", "Cannot be told", "Some people")
    )
    assert wrong < suspicious < unknown < people
    assert text[wrong:suspicious].count("<figure>") == 2
    # The worst first.
    captions = re.findall(r"<figcaption>synthetic/val/0*(\d+)<", text[wrong:suspicious])
    assert captions == ["3", "1"]
    assert "Suspicious: look" not in page(examined("wrong"), "lspet")


def test_the_verdict_counts():
    assert verdict(examined()) == "Nothing is wrong."
    assert verdict(examined("unknown")) == "Nothing is wrong."
    assert verdict(examined("suspicious")) == "Nothing is wrong; 1 thing to look at."
    assert verdict(examined("wrong", "wrong", "suspicious", "suspicious")) == (
        "2 things are wrong: do not train on these data yet; 2 things to look at."
    )


def test_the_overview_counts_people_and_images():
    samples = drawn()[:8]
    samples[1].image_id = samples[0].image_id
    samples[2].mask[:] = -1
    samples[3].visibility[:] = 0
    heads, rows = overview(Planted(train=samples, val=drawn("val")[:8]).examine())
    row = dict(zip(heads, rows[0], strict=True))
    assert row[""] == "train"
    assert (row["people"], row["images"], row["image size"]) == ("8", "7", "160 x 160")
    assert (row["masks"], row["read"]) == ("88 %", "8")
    assert row["joints"] == "88 %"
