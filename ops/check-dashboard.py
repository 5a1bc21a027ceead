#!/usr/bin/env python3
"""Uses the page at / of a living coordinator in a real browser, as a person would.

usage: ops/check-dashboard.py

A run of the tiny BERT with one worker: the page asks who you are, refuses a wrong token, follows
the training without being loaded again, is walked with the keyboard, shows a block's and a record's
lineage, plans and makes a deletion, watches it to its certificate and saves the receipt, which
lethe receipt verify then takes. Lineage that is shown follows what is deleted. A reader's key shows
no form that it may not use, and a coordinator that hangs is not called live. Names that look like
HTML stay text. No complaint in the console, nothing fetched from elsewhere, no sideways scrolling
at 400 pixels, light and dark. Pictures are left in .build/dashboard/. SKIPPED where
there is no Chromium (apt-get install chromium, or LETHE_BROWSER=PATH).
"""
import json
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import browser  # noqa: E402
from runs import ROOT, Run, must, record_line, report  # noqa: E402
from waiting import Late, wait_for  # noqa: E402

FOLDER = ROOT / ".build/dashboard"
HOSTILE = "<img src=x onerror=alert(1)>"
problems = []


# All that the page says of its connection from now on, and when it asks for events again.
WATCH = """
var said = [], asked = [];
new MutationObserver(() => said.push(document.getElementById('connection').textContent)).observe(
  document.getElementById('connection'), {childList: true, characterData: true, subtree: true});
window.fetch = (known => (path, options) => {
  if (String(path).includes('/v1/events')) asked.push(path);
  return known(path, options);
})(window.fetch);
"""


def need(condition, text):
    if not condition:
        problems.append(text)


def fill(page, field, text):
    page.evaluate(f"document.getElementById('{field}').focus()")
    page.type(text)


def press(page, selector):
    page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def text_of(page, field):
    return page.evaluate(f"document.getElementById('{field}').innerText")


def enter(page, run):
    page.open(f"http://{run.address[0]}:{run.address[1]}/")
    page.until("!document.getElementById('entrance').hidden", "the question for a token")
    fill(page, "token", "0" * 64)
    press(page, "#enter button")
    page.until("document.getElementById('enter-message').textContent.includes('wrong')",
               "a wrong token to be refused")
    # The browser itself reports a refusal in its console; it is the only complaint so far.
    problems.extend(f"the console: {text}" for text in page.problems if "401" not in text)
    page.problems.clear()
    fill(page, "token", run.token)
    page.press("Enter")
    page.until("document.querySelectorAll('#grid .cell').length === 12", "the grid")
    need("s3t" in text_of(page, "run"), "the run's layout is not named")


def follow(page, run):
    """Nothing is trained before there is a worker; then the page shows it by itself."""
    need(page.evaluate("document.querySelectorAll('.cell.trained').length") <= 4,
         "blocks are trained without a worker")
    page.until("document.getElementById('no-workers').innerText.includes('None is connected')",
               "the lack of workers to be said")
    page.until("document.getElementById('queue').innerText", "the queue to give a reason")
    run.worker()
    must("train", "--run", run.run_file)
    page.until("document.querySelectorAll('#grid .cell.trained').length === 12", "training", 6)
    page.until("document.getElementById('speeds').rows.length > 0", "throughput")
    page.until("document.getElementById('workers').rows.length === 1", "the worker")


def walk(page):
    """With keys alone: through the grid, and into a block's lineage."""
    page.evaluate("document.querySelector('#grid .cell').focus()")
    page.press("ArrowRight")
    page.press("ArrowDown")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    need(label == "shard 0, sequence 1, stage 2: trained", f"the keys lead to {label}")
    page.press("Enter")
    page.until("document.querySelector('#picture svg') && "
               "document.getElementById('fields').rows.length > 8", "a block's lineage")
    page.until("document.querySelectorAll('.cell.marked').length >= 2",
               "the block and its parent to be marked")


def trace(page):
    fill(page, "trace-id", "r3")
    press(page, "#trace button")
    page.until("document.getElementById('trace-message').textContent.includes('live')",
               "a record's lineage")
    page.until("document.querySelectorAll('#picture .box.marked').length > 2",
               "the record's blocks to be marked in the picture")
    page.screenshot(FOLDER / "lineage.png")


def delete(page, run):
    fill(page, "ids", f"r3\n{HOSTILE}")
    press(page, "#plan")
    page.until("!document.getElementById('confirm').disabled", "the plan")
    words = text_of(page, "plan-result")
    need("1 record would go" in words and HOSTILE in words, f"the plan says: {words}")
    press(page, "#confirm")
    page.until("document.getElementById('plan-result').innerText.includes('Acknowledged')",
               "the acknowledgement")
    need(HOSTILE in text_of(page, "plan-result"), "the unknown id is not listed")
    page.until("document.querySelector('#deletions tr')?.dataset.state === 'certified'",
               "the certificate", 6)
    page.until("document.querySelectorAll('#grid .cell.trained').length === 12", "the repair", 6)
    saved = FOLDER / "receipt.json"
    page.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(FOLDER))
    press(page, "#plan-result .action")
    try:
        wait_for("the receipt to be saved", saved.exists, pause=0.1,
                 seen=lambda: sorted(path.name for path in FOLDER.iterdir()))
        must("receipt", "verify", saved, "--id", "r3")
    except Late as late:
        need(False, str(late))


def refresh(page, run):
    """What is shown of lineage follows a deletion, without being asked for again."""
    page.until("document.getElementById('trace-message').innerText.includes('deleted')",
               "the record's lineage to be shown as it is now")
    page.until("document.querySelectorAll('#picture svg, .cell.marked').length === 0",
               "blocks to be said no more to have seen a record that is deleted")
    page.evaluate("document.getElementById('trace-id').value = ''")
    fill(page, "trace-id", "r6")
    press(page, "#trace button")
    page.until("!!document.querySelector('.cell.marked')", "another record's lineage")
    press(page, ".cell.marked")
    key = "document.querySelector('#fields:not([hidden]) td')?.textContent"
    page.until(key, "the lineage of a block that has seen it")
    before = page.evaluate(key)
    run.delete(["r6"])
    page.until(f"{key} !== '{before}' && document.getElementById('fields').innerText"
               ".includes('trained') && document.querySelectorAll('#picture .masked').length === 0",
               "the lineage of the block that was trained in its place", 6)


def refuse(page):
    """Neither the plan nor the receipts' form says of an id what does not hold."""
    fill(page, "ids", "r3")
    press(page, "#plan")
    page.until("document.getElementById('plan-result').innerText.includes('live')",
               "an empty plan")
    words = text_of(page, "plan-result")
    need("Nothing would go" in words and "deleted already" in words and "Repair" not in words,
         f"the empty plan says: {words}")
    page.evaluate("document.getElementById('ids').value = ''")
    fill(page, "receipt-id", "r9")
    press(page, "#receipt button")
    page.until("document.getElementById('receipt-message').className.includes('bad')",
               "word of no receipt")
    words = text_of(page, "receipt-message")
    need("no deletion" in words and "lethe" not in words, f"of a live record's receipt: {words}")
    problems.extend(f"the console: {text}" for text in page.problems if "404" not in text)
    page.problems.clear()


def invite(page, run):
    """The address that lethe dashboard prints lets its reader in."""
    address = must("dashboard", "--run", run.run_file).strip()
    page.evaluate("sessionStorage.clear()")
    page.open("about:blank")
    page.open(address)
    page.until("document.querySelectorAll('#grid .cell').length === 12", "the way in")
    need(run.token not in page.evaluate("location.href"), "the token stays in the address")


def read_only(page, run):
    """A reader sees how the run stands, and no form that would be refused."""
    key = FOLDER / "reader.key"
    must("key", "new", "--name", "r", "--role", "reader", "--output", key, "--run", run.run_file)
    address = must("dashboard", "--run", run.run_file, "--token-file", key).strip()
    page.evaluate("sessionStorage.clear()")
    page.open("about:blank")
    page.open(address)
    page.until("document.querySelectorAll('#grid .cell').length === 12", "a reader's way in")
    need("as a reader" in text_of(page, "reader"), "a reader is not told so")
    for field in ("delete", "trace"):
        need(not page.evaluate(f"document.getElementById('{field}').checkVisibility()"),
             f"a reader is shown the form {field}")
    need(page.evaluate("document.getElementById('receipt').checkVisibility()"),
         "a reader is not shown the form for receipts")
    problems.extend(f"the console: {text}" for text in page.problems if "403" not in text)
    page.problems.clear()
    press(page, "#grid .cell")
    for width in (400, 1280):
        page.show(width)
        page.screenshot(FOLDER / f"reader-{width}.png")
    problems.extend(f"a reader's click: {text}" for text in page.problems)


def hang(page, run):
    """A coordinator that hangs is said to be away, and is never called live meanwhile."""
    state = "document.getElementById('connection').textContent"
    page.evaluate(WATCH)
    run.coordinator.send_signal(signal.SIGSTOP)
    try:
        page.until("said.some(text => text.includes('does not answer'))",
                   "word of a coordinator that hangs", 10)
        # It goes on asking, and hears nothing.
        page.until("asked.length > 0", "the page to ask again")
        time.sleep(1)
        need(not page.evaluate("said.includes('live')"), "a coordinator that hangs is called live")
    finally:
        run.coordinator.send_signal(signal.SIGCONT)
    page.until(f"{state} === 'live'", "the end of the hang", 10)


def survive(page, run):
    """The page says that the coordinator is away, and goes on when it is back."""
    address = run.address
    run.kill()
    page.until("document.getElementById('connection').textContent.includes('does not answer')",
               "word of the coordinator's end")
    run.start()
    need(run.address == address, "the coordinator came back elsewhere")
    page.until("document.getElementById('connection').textContent === 'live'", "the return")
    page.problems.clear()


def look(page):
    """How it looks, narrow and wide, in both colour schemes."""
    for scheme in ("light", "dark"):
        for width in (400, 1280):
            page.show(width, scheme=scheme)
            page.screenshot(FOLDER / f"{scheme}-{width}.png")
            wide = page.evaluate("document.documentElement.scrollWidth")
            need(wide <= width, f"{width} pixels: {wide} are taken")
            need(page.evaluate(
                "[...document.querySelectorAll('input, textarea, select')].every("
                "field => document.querySelector(`label[for=${field.id}]`))"),
                "a field has no label")


def main():
    if not browser.find():
        print("check-dashboard: SKIPPED: there is no Chromium; apt-get install chromium")
        return 0
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    lines = [record_line(f"r{index}", index) for index in range(60)]
    run = Run(FOLDER / "run", lines, policy="eager", shape=(3, 2, 2))
    run.start()
    try:
        with browser.Browser() as page:
            page.show(1280)
            enter(page, run)
            follow(page, run)
            walk(page)
            trace(page)
            delete(page, run)
            refresh(page, run)
            refuse(page)
            look(page)
            problems.extend(f"the console: {text}" for text in page.problems)
            fetched = page.evaluate(
                "performance.getEntriesByType('resource').map(entry => entry.name)")
            need(all(url.startswith((f"http://{run.address[0]}:{run.address[1]}/", "blob:"))
                     for url in fetched), f"fetched from elsewhere: {fetched}")
            invite(page, run)
            read_only(page, run)
            invite(page, run)
            need(page.evaluate("document.getElementById('delete').checkVisibility()"),
                 "an operator after a reader is shown no form")
            hang(page, run)
            survive(page, run)
    finally:
        run.stop()
    return report("check-dashboard", problems,
                  "entered, followed, walked by keys, traced, deleted, receipt verified, read, "
                  "hung, outlived")


if __name__ == "__main__":
    sys.exit(main())
