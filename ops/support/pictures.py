"""The pictures of the book, as SVG that follows the reader's light or dark colours."""

STYLE = """
  text { font: 14px system-ui, sans-serif; fill: var(--ink) }
  .small { font-size: 12px; fill: var(--soft) }
  .bold { font-weight: 600 }
  .box { fill: var(--box); stroke: var(--line) }
  .good { fill: var(--good); stroke: var(--goodline) }
  .gone { fill: var(--gone); stroke: var(--goneline); stroke-dasharray: 4 3 }
  .plain { fill: none; stroke: var(--line) }
  .arrow { fill: none; stroke: var(--soft); stroke-width: 1.5; marker-end: url(#head) }
  .head { fill: var(--soft) }
  .mark { fill: var(--mark) }
  svg { --ink: #1f2328; --soft: #59636e; --line: #b7bfc8; --box: #f6f8fa; --good: #d5f0dc;
        --goodline: #2c974b; --gone: #fbe0de; --goneline: #cf4a40; --mark: #cf222e }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --soft: #9aa4af; --line: #4b535d; --box: #1c2128; --good: #15361f;
          --goodline: #3fb950; --gone: #421b1a; --goneline: #f0736a; --mark: #ff7b72 } }
"""


class Canvas:
    """Rectangles, words and arrows, collected in the order they are drawn."""

    def __init__(self, width, height, title):
        self.head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="{title}">\n'
            f"<title>{title}</title>\n<style>{STYLE}</style>\n"
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto-start-reverse"><path class="head" d="M0 0L8 4L0 8z"/>'
            "</marker></defs>\n")
        self.parts = []

    def box(self, x, y, width, height, kind="box", radius=6):
        self.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" '
                          f'height="{height}" rx="{radius}"/>')

    def text(self, x, y, words, kind="", anchor="middle"):
        self.parts.append(f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{words}'
                          "</text>")

    def arrow(self, *points, both=False):
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        start = ' marker-start="url(#head)"' if both else ""
        self.parts.append(f'<path class="arrow" d="{path}"{start}/>')

    def dot(self, x, y):
        self.parts.append(f'<circle class="mark" cx="{x}" cy="{y}" r="5"/>')

    @property
    def svg(self):
        return self.head + "\n".join(self.parts) + "\n</svg>\n"


def grid():
    """A shard's sequences and what a deletion in slice 1 masks; other shards beside it."""
    c = Canvas(760, 372, "One deletion in a run of 3 shards, 3 slices and 3 sequences")
    c.text(20, 28, "shard 0", "bold", "start")
    for n in range(3):
        c.box(120 + n * 120, 44, 100, 34)
        c.text(170 + n * 120, 66, f"slice {n}")
    c.text(20, 66, "its records", "small", "start")
    c.dot(334, 52)
    c.text(346, 38, "a deleted record", "small", "start")
    columns = ("top layers", "middle layers", "bottom layers")
    for n, words in enumerate(columns):
        c.text(170 + n * 120, 112, words, "small")
    for row, order in enumerate(([0, 1, 2], [1, 2, 0], [2, 0, 1])):
        y = 122 + row * 62
        c.text(20, y + 21, f"sequence {row}", "", "start")
        c.text(20, y + 38, "order " + ", ".join(map(str, order)), "small", "start")
        for stage in range(3):
            read = order[:stage + 1]
            c.box(120 + stage * 120, y, 100, 48, "gone" if 1 in read else "good")
            c.text(170 + stage * 120, y + 21, f"block {stage + 1}")
            c.text(170 + stage * 120, y + 38, "saw " + ", ".join(map(str, read)), "small")
            if stage:
                c.arrow((221 + (stage - 1) * 120, y + 24), (239 + (stage - 1) * 120, y + 24))
    c.box(118, 242, 224, 56, "plain", 8)
    c.text(120, 322, "Shard 0 now serves sequence 2 as far as block 2: its deepest clean prefix.",
           "small", "start")
    c.text(120, 342, "The masked blocks are trained again without the record.", "small", "start")
    for n in (1, 2):
        x = 520 + (n - 1) * 120
        c.text(x, 28, f"shard {n}", "bold", "start")
        for row in range(3):
            for stage in range(3):
                c.box(x + stage * 32, 122 + row * 62, 26, 48, "good", 4)
        c.text(x, 66, "untouched", "small", "start")
    c.box(120, 352, 12, 12, "good", 2)
    c.text(138, 363, "may answer", "small", "start")
    c.box(230, 352, 12, 12, "gone", 2)
    c.text(248, 363, "masked: it saw the record", "small", "start")
    return c.svg


def life():
    """The states of a deletion, and what each of them means."""
    c = Canvas(760, 190, "The life of a deletion: masked, purged, repaired, certified")
    states = (
        ("masked", "no answer uses it", "milliseconds", "one entry, in both"),
        ("purged", "its bytes are gone", "seconds", "files, memory, journal"),
        ("repaired", "blocks are retrained", "by the policy", "from what is retained"),
        ("certified", "the receipt is final", "at once", "an entry in the ledger"))
    second = ("copies of the journal", "of coordinator and workers", "alone", "that only grows")
    for n, (name, means, when, how) in enumerate(states):
        x = 15 + n * 188
        c.box(x, 50, 160, 62, "good" if n == 3 else "box")
        c.text(x + 80, 76, name, "bold")
        c.text(x + 80, 97, means, "small")
        c.text(x + 80, 34, when, "small")
        c.text(x + 80, 136, how, "small")
        c.text(x + 80, 152, second[n], "small")
        if n:
            c.arrow((x - 27, 81), (x - 2, 81))
    c.text(15, 180, "The answer to lethe delete leaves after the first state, or after the one "
           "that --wait names.", "small", "start")
    return c.svg


def processes():
    """Who talks to whom."""
    c = Canvas(760, 300, "People and programs, one coordinator, its folder, and workers")
    for n, words in enumerate(("lethe delete", "lethe predict", "lethe status")):
        c.box(20, 30 + n * 56, 140, 40)
        c.text(90, 55 + n * 56, words)
        c.arrow((161, 50 + n * 56), (268, 90 + (n - 1) * 12))
    c.text(20, 212, "HTTP and JSON,", "small", "start")
    c.text(20, 228, "with a token", "small", "start")
    c.box(270, 50, 220, 90)
    c.text(380, 82, "lethe coordinator", "bold")
    c.text(380, 103, "journal, then apply, then answer", "small")
    c.text(380, 121, "leases, masks, purges, repairs", "small")
    c.arrow((491, 95), (558, 95))
    c.box(560, 30, 180, 130, "plain")
    for n, words in enumerate(("journal-a, journal-b", "slices: the records",
                               "artifacts: the blocks", "keys, ledger, receipts")):
        c.text(650, 62 + n * 24, words, "small")
    c.text(650, 22, "run directory", "small")
    for n in range(3):
        x = 250 + n * 100
        c.box(x, 210, 84, 46)
        c.text(x + 42, 230, "worker")
        c.text(x + 42, 247, "one core", "small")
        c.arrow((x + 42, 209), (350 + n * 30, 142), both=True)
    c.text(380, 284, "Workers call in, pull a block to train, upload it, and answer texts; "
           "they keep nothing.", "small")
    c.text(496, 190, "Lethe wire over TCP", "small", "start")
    return c.svg


def pictures():
    """Every picture by its file's name."""
    return {"grid.svg": grid(), "life.svg": life(), "processes.svg": processes()}
