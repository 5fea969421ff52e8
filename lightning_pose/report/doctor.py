"""The page of `lightning doctor`: what was examined, what was found, and people to look at."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from lightning_pose.diagnosis.examination import Examination
from lightning_pose.diagnosis.finding import Finding
from lightning_pose.diagnosis.people import People, percent
from lightning_pose.diagnosis.pixels import PixelSample
from lightning_pose.report.pictures import person_picture, pose_plot
from lightning_pose.report.style import STYLE

__all__ = ["MARK", "overview", "page", "verdict"]

MARK = '<meta name="generator" content="lightning doctor">'
"""What tells a page of this command from other files."""

_PICTURES = 6
_MOST_TRIED = 20
_HEADINGS = {
    "wrong": "Wrong: mend this before training",
    "suspicious": "Suspicious: look at this",
    "unknown": "Cannot be told from the data",
}


def verdict(examination: Examination) -> str:
    """The result in one sentence.

    Args:
        examination: What was found.

    Returns:
        A sentence without names from the data.
    """
    counts = {
        severity: sum(finding.severity == severity for finding in examination.findings)
        for severity in ("wrong", "suspicious")
    }
    look = f"{counts['suspicious']} {'thing' if counts['suspicious'] == 1 else 'things'} to look at"
    if counts["wrong"]:
        things = "1 thing is" if counts["wrong"] == 1 else f"{counts['wrong']} things are"
        also = f"; {look}" if counts["suspicious"] else ""
        return f"{things} wrong: do not train on these data yet{also}."
    return f"Nothing is wrong; {look}." if counts["suspicious"] else "Nothing is wrong."


def overview(examination: Examination) -> tuple[list[str], list[list[str]]]:
    """Counts and sizes of each split as a table.

    Args:
        examination: What was examined.

    Returns:
        The heads of the columns, and the cells of each row.
    """
    heads = ["", "people", "images", "image size", "person", "joints", "occluded", "masks", "read"]
    rows = [
        _row(people, sample)
        for people, sample in zip(examination.parts, examination.samples, strict=True)
    ]
    return heads, rows


def _row(people: People, sample: PixelSample) -> list[str]:
    labelled, visibility = people.labelled, people.table.visibility
    sizes = people.sizes[(people.sizes > 0).all(axis=1)]
    widths, heights = (_range(sizes[:, axis]) for axis in (1, 0))
    anybody = people.extent[labelled.sum(axis=1) > 1]
    shares = (labelled.mean(), (visibility[labelled] == 1).mean() if labelled.any() else 0.0)
    return [
        people.name,
        f"{len(people):,}",
        f"{len(np.unique(people.table.image_id)):,}",
        f"{widths} x {heights}",
        f"{np.median(anybody):.0f} px" if len(anybody) else "-",
        *(percent(float(share)) for share in shares),
        percent(float(sample.masked.mean())) if len(sample.masked) else "-",
        f"{len(sample.index):,}",
    ]


def _range(values: np.ndarray) -> str:
    if not len(values):
        return "-"
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


def page(examination: Examination, title: str) -> str:
    """Write the whole report as one HTML page without other files.

    Args:
        examination: What was examined and found.
        title: What the data are called.

    Returns:
        The page, which shows people with their labels.
    """
    state = "passed" if examination.passed else "failed"
    body = [
        f"<header><h1>Data of {escape(title)}</h1>",
        f'<p class="verdict {state}">{escape(verdict(examination))}</p></header>',
        *_overview(examination),
        *_findings(examination),
        "<h2>Some people</h2><p>Drawn at random. Filled joints are visible, rings are occluded; "
        "the person's own left is blue, and right is orange.</p>",
    ]
    for people, sample in zip(examination.parts, examination.samples, strict=True):
        drawn = np.random.default_rng(0).permutation(sample.index).tolist()
        body.append(f"<h3>{escape(people.name)}</h3>{_pictures(people, drawn)}")
    body.append("<h2>Joints</h2>")
    for people in examination.parts:
        body.append(
            f"<h3>{escape(people.name)}</h3>"
            f'<div class="joints">{_shares(people)}{_poses(people)}</div>'
        )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{MARK}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Data of {escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}<footer>lightning doctor</footer>"
        "</body></html>\n"
    )


def _overview(examination: Examination) -> Iterator[str]:
    heads, rows = overview(examination)
    yield '<div class="wide"><table><tr>'
    yield from (f"<th>{head}</th>" for head in heads)
    yield "</tr>"
    for name, *cells in rows:
        yield f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}"
        yield "</tr>"
    yield (
        "</table></div><p>The size of a person is that of the box around the joints, in the "
        "median. Labels and image sizes are of everyone; masks and pixels were read for as "
        "many people as the last column says, drawn at random.</p>"
    )


def _findings(examination: Examination) -> Iterator[str]:
    parts = {people.name: people for people in examination.parts}
    for severity, heading in _HEADINGS.items():
        found = [finding for finding in examination.findings if finding.severity == severity]
        if found:
            yield f"<h2>{heading}</h2>"
        for finding in found:
            yield _finding(finding, parts.get(finding.name))


def _finding(finding: Finding, people: People | None) -> str:
    pictures = "" if people is None else _pictures(people, finding.suspects)
    return (
        f'<section class="{finding.severity}"><h3>{escape(finding.title)} '
        f"<small>{escape(finding.name)}</small></h3><p>{escape(finding.sentence)}</p>{pictures}"
        "</section>"
    )


def _pictures(people: People, indices: Sequence[int]) -> str:
    """The first six people who can be read, each with the name of the image."""
    figures: list[str] = []
    for index in indices[:_MOST_TRIED]:
        if len(figures) < _PICTURES and (source := person_picture(people, index)):
            name = escape(str(people.table.image_id[index]))
            figures.append(
                f'<figure><img src="{source}" alt="A person in {name} with labels" loading="lazy">'
                f"<figcaption>{name}</figcaption></figure>"
            )
    return f'<div class="people">{"".join(figures)}</div>' if figures else ""


def _shares(people: People) -> str:
    """A bar per joint: visible, occluded, unlabelled."""
    rows = []
    for joint, name in enumerate(people.dataset.skeleton.names):
        flags = people.table.visibility[:, joint]
        visible, occluded = (float((flags == flag).mean()) for flag in (2, 1))
        rows.append(
            f"<tr><th>{escape(name)}</th><td class='bar'><span class='visible' "
            f"style='width:{100 * visible:.2f}%'></span><span class='occluded' "
            f"style='width:{100 * occluded:.2f}%'></span></td>"
            f"<td>{percent(visible)}</td><td>{percent(occluded)}</td></tr>"
        )
    return (
        "<div class='wide'><table><tr><th>joint</th><th></th><th>visible</th><th>occluded</th></tr>"
        f"{''.join(rows)}</table></div>"
    )


def _poses(people: People) -> str:
    return (
        f'<figure class="poses">{pose_plot(people)}<figcaption>Joints of up to 300 people, and the '
        "median pose</figcaption></figure>"
    )
