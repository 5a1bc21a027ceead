"""Pages of Markdown whose commands are run, and what they show compared with what was printed.

A page is one session of bash in a folder of its own, `set -euo pipefail`, block after block.

    ```sh                                  is run
    ```text (the next block after one)     is what it prints, standard error too: `…` stands for
                                           anything in a line, a line of `…` alone for any lines;
                                           how many spaces stand between words does not matter
    <!-- numbers differ -->                before a ```text: pasted from a machine; a number or a
                                           digest stands for any of its kind
    <!-- not run here: REASON -->          before a ```sh, or before the page's title for all of it
    <!-- needs: PATH -->                   before the title: the page is SKIPPED without that file
                                           of the repository, or that command
    <!-- beside: a trained run -->         before the title: a small trained run is there, and its
                                           coordinator and two workers; `a stopped run`: without
                                           them; `nothing`: an empty folder

A page that says neither beside what it runs nor why not is refused: commands may be meant for a
machine of their own.
"""
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from runs import LETHE, ROOT
from waiting import Late, patience, wait_for

NUMBER = r"\d[\d,]*(?:\.\d+)?"
DIGEST = r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b"


@dataclass
class Block:
    line: int
    code: str
    not_run: str = ""
    shown: str = None
    by_kind: bool = False


@dataclass
class Page:
    path: Path
    beside: str = ""
    needs: list = field(default_factory=list)
    blocks: list = field(default_factory=list)

    @property
    def name(self):
        return str(self.path.relative_to(ROOT))


def read(path):
    """The page's blocks of commands, with what is said about each."""
    page = Page(path)
    page_reason, notes, last, title = "", [], None, False
    lines = path.read_text().splitlines()
    at = 0
    while at < len(lines):
        text = lines[at].strip()
        at += 1
        if note := re.fullmatch(r"<!-- (.*) -->", text):
            notes.append(note[1])
            if not title:
                page_reason = reason(notes[-1:]) or page_reason
                page.beside = after("beside: ", notes[-1:]) or page.beside
                page.needs += [n for n in [after("needs: ", notes[-1:])] if n]
        elif fence := re.fullmatch(r"```(\w*)", text):
            indent = len(lines[at - 1]) - len(lines[at - 1].lstrip())
            first, body = at, []
            while lines[at].strip() != "```":
                body.append(lines[at][indent:] if lines[at][:indent].isspace() else lines[at])
                at += 1
            at += 1
            if fence[1] == "sh":
                last = Block(first, "\n".join(body) + "\n", reason(notes) or page_reason)
                page.blocks.append(last)
            elif fence[1] == "text" and last and last.shown is None and not last.not_run:
                last.shown, last.by_kind = "\n".join(body), "numbers differ" in notes
            notes = []
        elif text:
            title = title or text.startswith("# ")
            notes = []
    return page


def after(prefix, notes):
    return next((note[len(prefix):] for note in notes if note.startswith(prefix)), "")


def reason(notes):
    return after("not run here: ", notes)


def pattern(shown, by_kind):
    """A regular expression for what a block shows."""
    parts = []
    for line in shown.splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
            continue
        pieces = []
        for word in re.split(r"(…|\s+)", line.strip()):
            if word == "…":
                pieces.append(r"[^\n]*?")
            elif not word.strip():
                pieces.append(r"[ \t]+" if word else "")
            elif by_kind:
                for piece in re.split(f"({DIGEST}|{NUMBER})", word):
                    kind = next((k for k in (DIGEST, NUMBER) if re.fullmatch(k, piece)), None)
                    pieces.append(kind or re.escape(piece))
            else:
                pieces.append(re.escape(word))
        parts.append(r"[ \t]*" + "".join(pieces) + r"[ \t]*\n")
    return re.compile("".join(parts))


def undeclared(page):
    """A block that would run although its page does not say beside what."""
    return next((block for block in page.blocks if not block.not_run and not page.beside), None)


def environment(folder):
    """For commands of a page: the tool on the path, and nothing of whoever runs the check."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LETHE_")}
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    if not (tools / "lethe").exists():
        (tools / "lethe").symlink_to(LETHE)
    return kept | {"PATH": f"{tools}:{kept['PATH']}", "NO_COLOR": "1", "COLUMNS": "100"}


# A reader's shell has no pipefail; here it is on, so that no failed command hides behind a pipe. Then
# whoever writes to a `head` that is content already would end by SIGPIPE, or not, as the scheduler
# likes: this one reads on to the end.
PRELUDE = """set -euo pipefail
head() { local ended=0; command head "$@" || ended=$?; cat > /dev/null; return "$ended"; }
"""


def run(page, folder, quiet):
    """Runs a page in its folder; what was wrong, as sentences for people.

    The page takes `quiet` seconds on a quiet machine.
    """
    outputs = folder / ".outputs"
    outputs.mkdir()
    blocks = [block for block in page.blocks if not block.not_run]
    script = PRELUDE
    for index, block in enumerate(blocks):
        script += f"exec >'{outputs}/{index}' 2>&1\n{block.code}"
    script += f"exec >'{outputs}/end' 2>&1\n"
    (folder / ".session").write_text(script)
    session = subprocess.Popen(
        ["bash", ".session"], cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        code = session.wait(patience(quiet))
    except subprocess.TimeoutExpired:
        code = f"nothing yet after {patience(quiet):.0f} s"
    finally:
        end_session(session)
    return problems(page, blocks, outputs, code)


def end_session(session):
    """Ends what a page left running: processes of its session, some in groups of their own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in members(session.pid):
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        try:
            # The first child is ours to bury.
            return wait_for("the end of a page's processes", lambda:
                            session.poll() is not None and not members(session.pid))
        except Late:
            continue


def members(session):
    """Processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def problems(page, blocks, outputs, code):
    found = []
    for index, block in enumerate(blocks):
        file = outputs / str(index)
        if not file.exists():
            break
        printed = file.read_text(errors="replace")
        where = f"{page.name}:{block.line}"
        is_last = not (outputs / str(index + 1)).exists() and not (outputs / "end").exists()
        if is_last:
            found.append(f"{where}: ended with {code}:\n{block.code}it said:\n{printed[-1500:]}")
        elif block.shown is not None:
            text = printed if printed.endswith("\n") or not printed else printed + "\n"
            if not pattern(block.shown, block.by_kind).fullmatch(text):
                found.append(f"{where}: shows\n{block.shown}\nbut printed\n{printed[-2500:]}")
    return found
