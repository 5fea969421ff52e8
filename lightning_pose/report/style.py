"""The look of the pages, light and dark, on a screen of any width."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fbfbfa; --card: #ffffff;
  --line: #d8dbe0; --soft: #5c6470; --wrong: #c62f2f; --suspicious: #a86500; --unknown: #5c6470;
  --good: #1c7c43; --left: #2f74d0; --right: #d9541e; --middle: #8a6d00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #15181c; --card: #1d2126;
  --line: #363c45; --soft: #9aa3af; --wrong: #ff7b72; --suspicious: #e3a13a; --unknown: #9aa3af;
  --good: #56c47f; --left: #6ea8fe; --right: #ff8a5c; --middle: #e8c547; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1rem 0 0.25rem; }
p { margin: 0.25rem 0 0.75rem; max-width: 48rem; overflow-wrap: anywhere; }
small, figcaption, footer { color: var(--soft); font-weight: normal; font-size: 0.85rem; }
footer { margin-top: 2rem; border-top: 1px solid var(--line); padding-top: 0.5rem; }
.verdict { font-size: 1.1rem; font-weight: 600; }
.passed { color: var(--good); }
.failed { color: var(--wrong); }
section { background: var(--card); border: 1px solid var(--line); border-left-width: 5px;
  border-radius: 6px; padding: 0.5rem 1rem; margin: 0.75rem 0; }
section h3 { margin-top: 0.25rem; }
section.wrong { border-left-color: var(--wrong); }
section.suspicious { border-left-color: var(--suspicious); }
section.unknown { border-left-color: var(--unknown); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.75rem 0.2rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); font-weight: normal; }
th:first-child { text-align: left; }
tr:first-child th { color: var(--soft); font-size: 0.85rem; }
.people { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: 0.5rem; }
figure { margin: 0; min-width: 0; }
figure img { width: 100%; border-radius: 4px; display: block; }
figcaption { overflow-wrap: anywhere; }
.joints { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  gap: 1rem; align-items: start; }
.bar { width: 12rem; min-width: 6rem; font-size: 0; text-align: left; }
.bar span { display: inline-block; height: 0.8rem; }
.visible { background: var(--left); }
.occluded { background: var(--suspicious); }
.poses svg { width: 100%; max-width: 26rem; display: block; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; }
.poses path { fill: none; stroke-linecap: round; }
svg .left { stroke: var(--left); }
svg .right { stroke: var(--right); }
svg .middle { stroke: var(--middle); }
.dots { stroke-width: 5; stroke-opacity: 0.3; }
.limb { stroke-width: 7; }
"""
