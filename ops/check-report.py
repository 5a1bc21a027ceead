#!/usr/bin/env python3
"""Draws the report of a small run and looks at it in a real browser.

usage: ops/check-report.py [REPORT.html]

Trains the tiny BERT, deletes, repairs, evaluates beside another layout, and opens the page of
lethe report in headless Chromium, narrow and wide, light and dark: no complaint in the console,
nothing fetched, no sideways scrolling at 400 pixels, and every plot with axes, units, words and
numbers. Pictures are left in .build/report/. SKIPPED where there is no Chromium (apt-get install
chromium, or LETHE_BROWSER=PATH). With a file: looks at that one.
"""
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import browser  # noqa: E402
from runs import ROOT, Run, must, record_line, tool  # noqa: E402

FOLDER = ROOT / ".build/report"
WIDTHS = (400, 1280)

# What every figure must have: words in place of the picture, text on the axes, numbers below.
FIGURES = """
function dashes(lines) {
  return [...lines].map(line => getComputedStyle(line).strokeDasharray);
}
[...document.querySelectorAll('figure')].map(figure => {
  const svg = figure.querySelector(':scope > svg'), grid = figure.querySelector('.grid');
  const drawing = svg || grid;
  return {
    title: figure.querySelector('figcaption').textContent,
    words: (drawing.getAttribute('aria-label') || '').length,
    role: drawing.getAttribute('role'),
    texts: svg ? svg.querySelectorAll('text').length : null,
    rows: figure.querySelectorAll('tbody tr').length,
    width: drawing.getBoundingClientRect().width,
    letters: svg ? Math.min(...[...svg.querySelectorAll('text')].map(
      text => text.getBoundingClientRect().height)) : null,
    dashes: dashes(figure.querySelectorAll(':scope > svg .line')),
    legend: dashes(figure.querySelectorAll('.legend .line')),
  };
})
"""

# Tables whose first number is out of sight, and those that scroll without a word of it.
TABLES = """
[...document.querySelectorAll('main > section > .scroll')].flatMap(scroll => {
  const [first, second] = ['nth-child(2)', 'nth-child(3)'].map(
    child => scroll.querySelector(`thead th:${child}`)?.getBoundingClientRect().right || 0);
  const name = scroll.querySelector('thead th').textContent;
  return [
    ...(Math.max(first, second) > innerWidth ? [`${name}: its numbers are out of sight`] : []),
    ...(getComputedStyle(scroll).backgroundImage === 'none' ? [`${name}: no shadows`] : []),
  ];
})
"""


def made():
    """A report of a run that has seen deletions, beside one of another shape."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    texts = FOLDER / "texts.jsonl"
    evaluations = []
    lines = [record_line(f"r{index}", index) for index in range(90)]
    for name, shape in (("sliced", (3, 2, 2)), ("whole", (1, 1, 1))):
        run = Run(FOLDER / name, lines, policy="eager", shape=shape)
        texts.write_text("".join(record_line(f"t{index}", index + 3) for index in range(40)))
        run.run_file.write_text(run.run_file.read_text().replace('name: "run"', f'name: "{name}"'))
        run.start()
        run.worker()
        try:
            must("train", "--watch", "--run", run.run_file)
            if name == "sliced":
                for index in range(0, 12, 3):
                    must("delete", f"r{index}", "--wait", "certified", "--run", run.run_file)
                members = FOLDER / "members.jsonl"
                members.write_text("".join(lines[index] for index in range(0, 12, 3)))
                options = ["--members", members]
            else:
                options = []
            output = must("evaluate", "--run", run.run_file, "--data", texts, "--trials", "20",
                          "--format", "json", *options)
            evaluations.append(FOLDER / f"{name}.json")
            evaluations[-1].write_text(output)
            if name == "whole":
                continue
            first = run
        finally:
            if name == "whole":
                run.stop()
    try:
        report = FOLDER / "report.html"
        must("report", first.run_file, "--evaluation", evaluations[0], "--beside", evaluations[1],
             "--output", report)
    finally:
        first.stop()
    return report


def main():
    if not browser.find():
        print("check-report: SKIPPED: there is no Chromium; apt-get install chromium")
        return
    report = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else made()
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = []
    with browser.Browser() as page:
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                page.show(width, scheme=scheme)
                page.open(report.as_uri())
                page.screenshot(FOLDER / f"report-{width}-{scheme}.png")
                over = page.evaluate("document.documentElement.scrollWidth") - width
                if over > 0:
                    wrong.append(f"at {width} pixels the page is {over} pixels too wide")
                figures = page.evaluate(FIGURES)
                for figure in figures:
                    if figure["role"] != "img" or figure["words"] < 20:
                        wrong.append(f"{figure['title']}: no words stand for the picture")
                    if figure["texts"] is not None and figure["texts"] < 5:
                        wrong.append(f"{figure['title']}: axes without text")
                    if figure["letters"] is not None and figure["letters"] < 12:
                        wrong.append(f"{figure['title']}: text of {figure['letters']:.0f} pixels")
                    for index, dash in enumerate(figure["dashes"]):
                        if (dash == "none") != (index == 0):
                            wrong.append(f"{figure['title']}: a line may cover another")
                    if figure["legend"] != figure["dashes"]:
                        wrong.append(f"{figure['title']}: the legend shows other dashes")
                    if not figure["rows"]:
                        wrong.append(f"{figure['title']}: no numbers")
                    if figure["width"] > width:
                        wrong.append(f"{figure['title']}: wider than {width} pixels")
                    if figure["width"] < 100:
                        wrong.append(f"{figure['title']}: not to be seen")
                wrong += [f"at {width} pixels: {text}" for text in page.evaluate(TABLES)]
        for line in page.evaluate("document.querySelector('pre').textContent").splitlines():
            if tool(*line.split(" --")[0].split()[1:], "--help")[0]:
                wrong.append(f"there is no {line}")
        fetched = page.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
        wrong += [f"fetched {name}" for name in fetched] + page.problems
    if wrong:
        raise SystemExit("check-report: " + "\ncheck-report: ".join(sorted(set(wrong))))
    print(f"check-report: {len(figures)} figures at {' and '.join(map(str, WIDTHS))} pixels, light"
          f" and dark: readable, and no complaint; pictures in {FOLDER.relative_to(ROOT)}")


main()
