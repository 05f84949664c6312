"""The site from notebooks that ran: every page is parsed, and nothing in a text may become markup."""

import json
import re
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from catalogs import write_catalogs
from fer_report import provenance
from fer_report.execute import Task
from fer_report.project import Project
from fer_report.site import pages
from fer_report.texts import Text, convert
from fer_report.weave import Chapter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

HOSTILE = (
    """"'><script>alert(1)</script><img src=x onerror=alert(1)></style></title>{{ 7 * 7 }} {% raw %} &amp; <!-- ]]>"""
)
LIVE_HTML = (
    """<b onclick=x>html</b><a href="javascript:x" onclick=x>l</a><span onclick=x>s</span><p style="color: red">p"""
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)" viewBox="0 0 4 2"><script>alert(1)</script></svg>'
VOID = {"img", "meta", "link", "br", "hr", "input", "col"}
CELLS = {"td", "th", "li"}
BLOCKS = {"p", "div", "figure", "table", "pre", "ul", "ol", "blockquote", "details", "h1", "h2", "h3"}


class Page(HTMLParser):
    """A page's elements, ids, text and links; raises where an element is not closed or stands where it cannot."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.path, self.open, self.elements, self.words = path, [], [], []
        self.feed(path.read_text("utf-8"))
        self.close()
        assert self.open == []
        self.text = " ".join("".join(self.words).split())
        self.ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def handle_starttag(self, tag, attributes):
        assert tag not in BLOCKS or "p" not in self.open, f"{tag} in a paragraph of {self.path}"
        assert tag != "a" or "a" not in self.open
        assert len({name for name, _ in attributes}) == len(attributes)
        self.elements.append((tag, dict(attributes)))
        self.open += [tag] if tag not in VOID else []

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> in {self.path}"
        self.words += [" "] if tag in BLOCKS | CELLS else []

    def handle_data(self, data):
        self.words += [data] if not {"style", "annotation"} & set(self.open) else []

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def shown(data, **fer):
    return new_output("display_data", {**data, "text/plain": "-"}, metadata={"fer": fer})


def figure(name, caption):
    return shown({"image/svg+xml": SVG}, kind="figure", name=name, caption=[caption, {}])


def table(name, header, rows):
    align = ["left", "right"]
    return shown({}, kind="table", name=name, caption=["All of them.", {}], header=header, rows=rows, align=align)


def markdown(source, *tags):
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def code(source, *outputs, tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


METHOD = "## Method\n\nSee [Figure](#fig-a), [Table](#tab-a) and [the method](#method)."
FACES = [
    markdown("# Faces & $x^2$"),
    code("passes = 2  # sweeps", tags=["parameters"]),
    code("import shown"),
    markdown(METHOD),
    code(
        "show()",
        shown({}, kind="say", text=["It took ${n}$ passes.", {"n": "3"}]),
        shown({}, kind="say", text=["**In short:** see {place}. So *it* is.", {"place": "[Figure](#fig-a)"}]),
        figure("fig-a", "One **rectangle** of $x$."),
        shown({"text/markdown": "twice"}, kind="caption"),
        table("tab-a", [["class", {}], "n"], [["Happy", "1,234"]]),
        new_output("stream", name="stdout", text="printed\n"),
    ),
    markdown("$$\\newcommand{\\R}{\\mathbb R} x \\in \\R \\tag{7}$$\n\n| a | b |\n|---|--:|\n| 1 | 2 |"),
]
OTHER = [
    markdown("# Another one\n\n## Method"),
    markdown("## Method\n\n$y \\in \\R$ and [Figure](#fig-b), \ud800, ![file](dot.svg) ![pasted](attachment:p.svg)"),
    code("draw()", figure("fig-b", "Second.")),
]
NASTY = [
    markdown(f"# Nasty {HOSTILE}"),
    markdown(f'text {HOSTILE}\n\n<div onclick="alert(1)">inside</div>\n\n<script>alert(1)</script>'),
    markdown(
        '## Heading {onclick="alert(1)" id="main"}\n\n[a](javascript:alert(1)) [b](data:text/html,x) [c](#nowhere)'
        " [d](x.ipynb) ![e](http://example.org/e.png) ![f](missing.png) ![g](data:text/html,x) `<script>`{=html}"
        ' [h](http://example.org/"onclick=x) $\\sideset{}{a}\\sum$ $"><script>alert(1)</script>$'
    ),
    code(
        HOSTILE,
        shown({}, kind="say", text=f"say {HOSTILE}"),
        shown({"image/svg+xml": SVG}, kind="figure", name="fig-nasty", caption=f"caption {HOSTILE}"),
        table("tab-nasty", [HOSTILE, "n"], [[HOSTILE, HOSTILE]]),
        new_output("display_data", {"text/html": f"{LIVE_HTML} {HOSTILE}"}),
        new_output("display_data", {"image/png": '"><script>alert(1)</script>'}),
        new_output("stream", name="stdout", text=HOSTILE),
        new_output("error", ename="Error", evalue=HOSTILE, traceback=[HOSTILE]),
        tags=["show-output"],
    ),
    markdown("```\nnever closed"),
    markdown("the end"),
]
OTHER[1]["attachments"] = {"p.svg": {"image/svg+xml": SVG}}
EDITION = {
    "picture": {"notebook": "other", "figure": "fig-b", "caption": "A picture."},
    "title": "Tiny report",
    "questions": [
        {
            "notebook": "faces",
            "points": 1,
            "part": "Basics",
            "question": "Which faces?",
        },
        {"notebook": "other", "bonus": True},
        {"notebook": "nasty"},
    ],
}
CHINESE = {
    "# Faces & $x^2$": "# 臉與 $x^2$",
    METHOD: "## 方法\n\n見[圖](#fig-a)與[表](#tab-a)，**「重點」**說明。",
    "It took ${n}$ passes.": "共 ${n}$ 輪。",
    "**In short:** see {place}. So *it* is.": "**小結：**見{place}。",
    "One **rectangle** of $x$.": "一個**長方形**。",
    "class": "類別",
    "All of them.": "全部。",
    "Second.": "第二。",
    "A picture.": "一張圖。",
    "Tiny report": "小報告",
    "Basics": "基礎",
    "Which faces?": "哪些臉？",
}
SYSTEM = {"system": HOSTILE, "parameters": "1,234", "epochs": "3", "split": "public", "n": "100"}
SYSTEM["accuracy"] = [0.5, 0.4, 0.6]


def make_project(root):
    """A project whose three notebooks ran."""
    for folder in ("notebooks", "report/editions", "build/executed"):
        (root / folder).mkdir(parents=True)
    for name, cells in {"faces": FACES, "other": OTHER, "nasty": NASTY}.items():
        executed = [{**cell, "id": f"{name}-{i}"} for i, cell in enumerate(cells)]
        stripped = [{**cell, "outputs": []} if cell["cell_type"] == "code" else cell for cell in executed]
        failure = {"cell": 1, "line": "x", "message": HOSTILE} if name == "nasty" else None
        receipt = {"failure": failure, "finished": "2026-01-02T03:04:05", "cited": [], "labels": [], "listed": []}
        (root / f"build/executed/{name}-key.ipynb").write_text(json.dumps(new_notebook(cells=executed)))
        (root / f"build/executed/{name}-key.json").write_text(json.dumps(receipt))
        (root / f"notebooks/{name}.ipynb").write_text(json.dumps(new_notebook(cells=stripped)))
    write_catalogs(root / "notebooks/locale/zh_TW", {"common": CHINESE})
    (root / "notebooks/dot.svg").write_text(SVG)
    (root / "report/editions/complete.yaml").write_text(json.dumps(EDITION))
    (root / "report/author.yaml").write_text(json.dumps({"name": HOSTILE, "id": "007"}))
    return Project(root)


def write(project, **how):
    edition = project.edition("complete")
    chapters = [Chapter(q, Task(q.notebook, {}, "key", {"data": ""})) for q in edition.questions]
    warnings = pages.write(project, edition, chapters, **{"langs": project.languages} | how)
    return SimpleNamespace(warnings=warnings, pages=read(project))


def read(project):
    return {path.name: Page(path) for path in sorted((project.build / "site").glob("*.html"))}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def site(project):
    data = {"name": f"drawn {HOSTILE}", "fingerprint": "12ab", "drawn": True, "leaks": f"Leak {HOSTILE}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Project, "data_line", lambda self, known: data)
        patch.setattr(provenance, "systems", lambda trainings: [SYSTEM])
        return write(project)


def test_a_page_for_every_question_in_both_languages(site):
    names = ["index", "q1-faces", "q2-other", "q3-nasty"]
    assert sorted(site.pages) == sorted([f"{n}.html" for n in names] + [f"{n}.zh-TW.html" for n in names])
    for name, page in site.pages.items():
        assert page.all("html") == [{"lang": "zh-TW" if "zh-TW" in name else "en"}]
    english, chinese = site.pages["q1-faces.html"].text, site.pages["q1-faces.zh-TW.html"].text
    for text in (
        "Question 1 · 1 %",
        "Which faces?",
        "See Figure 1, Table 1 and the method.",
        "class",
        "It took 3 passes.",
    ):
        assert text in english, text
    for text in (
        "第 1 題 · 佔 1%",
        "哪些臉？",
        "見圖 1與表 1，「重點」說明。",
        "類別",
        "共 3 輪。",
        "圖 1 一個長方形。",
    ):
        assert text in chinese, text
    assert "<title>Faces &amp; x^2 · Tiny report</title>" in site.pages["q1-faces.html"].path.read_text("utf-8")
    assert "長方形" not in english and "rectangle" not in chinese
    assert "printed" not in english and "twice" not in english


def test_the_contents_say_each_answer(site):
    assert "Faces & x^2 See Figure. So it is. Method" in site.pages["index.html"].text.replace("x2", "x^2")
    assert "In short: see Figure 1. So it is." in site.pages["q1-faces.html"].text
    assert "見圖。" in site.pages["index.zh-TW.html"].text or "見Figure。" in site.pages["index.zh-TW.html"].text


def test_an_answer_in_profile_quick_is_marked(tmp_path):
    project, lacked = make_project(tmp_path), {"missing": ["B-full-s0-12345678"], "seconds": 4500}
    edition = project.edition("complete")
    chapters = [Chapter(q, Task(q.notebook, {}, "key", {"data": ""}), lacked) for q in edition.questions]
    pages.write(project, edition, chapters, langs=["en"])
    contents = read(project)["index.html"].text.replace("x2", "x^2")
    assert "Faces & x^2 See Figure. So it is. (in profile quick) Method" in contents


def test_pages_are_sound(site):
    for name, page in site.pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1, name
        assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False)), name
        assert all(image["alt"] for image in page.all("img")), name
        assert {"width=device-width, initial-scale=1"} <= {meta.get("content") for meta in page.all("meta")}


def test_nothing_is_loaded_from_anywhere(site):
    for name, page in site.pages.items():
        policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
        assert policy.startswith("default-src 'none'; img-src data:;")
        assert {link["href"] for link in page.all("link")} == {"data:,"}
        assert all(image["src"].startswith("data:image/") for image in page.all("img"))
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "iframe", "object", "embed", "svg", "form", "base", "video", "audio"}, name
        style = page.path.read_text("utf-8").split("<style>")[1].split("</style>")[0]
        assert "url(" not in style and "@import" not in style and "@font-face" not in style


def test_links_lead_somewhere(site):
    for name, page in site.pages.items():
        for link in page.all("a"):
            address, _, fragment = link["href"].partition("#")
            if not address.startswith("http"):
                target = site.pages[address or name]
                assert not fragment or unquote(fragment) in target.ids, link
    index = [link["href"] for link in site.pages["index.html"].all("a")]
    assert {"q1-faces.html", "q1-faces.html#method", "q3-nasty.html", "index.zh-TW.html"} <= set(index)
    neighbours = {link["rel"]: link["href"] for link in site.pages["q2-other.zh-TW.html"].all("a") if "rel" in link}
    assert neighbours == {"prev": "q1-faces.zh-TW.html", "next": "q3-nasty.zh-TW.html"}


def test_figures_are_numbered_through_the_pages(site):
    assert "and Figure 2" in site.pages["q2-other.html"].text and "Figure 2 Second." in site.pages["q2-other.html"].text
    assert {"href": "#fig-b", "class": "reference"} in site.pages["q2-other.html"].all("a")
    pictures = {name: [image["alt"] for image in page.all("img")] for name, page in site.pages.items()}
    assert pictures["q1-faces.html"] == ["One rectangle of x."]
    assert pictures["q2-other.zh-TW.html"] == ["file", "pasted", "第二。"] and pictures["index.html"] == ["A picture."]


ATTRIBUTES = {
    *(
        "alt",
        "charset",
        "class",
        "content",
        "href",
        "hreflang",
        "http-equiv",
        "id",
        "lang",
        "name",
        "rel",
        "src",
        "style",
    ),
    *("aria-current", "aria-label", "aria-labelledby", "role", "scope", "tabindex"),
}
MATHML = {"math", "semantics", "annotation", "mrow", "mi", "mo", "mn", "msup"}


def test_no_text_becomes_markup(site):
    for name, page in site.pages.items():
        for tag, attributes in page.elements:
            assert tag in MATHML or set(attributes) <= ATTRIBUTES, (name, tag)
            assert not re.match("(javascript|vbscript|data:text)", attributes.get("href", "")), name
            assert attributes.get("style", "text-align").startswith("text-align"), name
    page = site.pages["q3-nasty.html"]
    as_written = " ".join(HOSTILE.split())
    assert page.text.count(as_written) >= 7  # failure, code, header, two cells, stream, exception and traceback, data
    assert "inside" in page.text and "the end" in page.text and "never closed" in page.text
    assert as_written in site.pages["index.html"].text


WARNINGS = [
    ("nasty-1", "HTML in Markdown, left out: <script>"),
    ("nasty-1", "HTML in Markdown, of which only the text is kept: <div onclick"),
    ("nasty-2", "link that leads nowhere on the web, shown as plain text: javascript:alert(1)"),
    ("nasty-2", "link to #nowhere, which does not exist"),
    ("nasty-2", "image not fetched from the network: http://example.org/e.png"),
    ("nasty-2", "image missing.png is not there"),
    ("nasty-2", "TeX that is not understood, shown as it is: \\sideset"),
]


@pytest.mark.parametrize(("cell", "message"), WARNINGS)
def test_what_cannot_be_shown_is_reported_by_cell(site, cell, message):
    assert [w for w in site.warnings if w.startswith(f"nasty: cell {cell}: {message}")]


def test_formulas_are_mathml_and_macros_hold_on_the_page(site):
    page = site.pages["q1-faces.html"]
    assert {"block", "inline"} <= {math["display"] for math in page.all("math")}
    assert "ℝ" in page.text and "(7)" in page.text and "\\" not in page.text
    assert any("\\R" in warning for warning in site.warnings if warning.startswith("other"))  # another page's macro


def test_drawn_data_are_announced_on_every_page(site, project):
    for name, page in site.pages.items():
        assert ("程式繪製的人臉" if "zh-TW" in name else "Drawn faces, not FER2013") in page.text, name
    assert "say nothing about real faces" in site.pages["index.html"].text
    assert "Drawn faces" not in write(project, langs=["en"]).pages["index.html"].text


def test_the_contents_sum_up_the_systems_and_name_the_parts(site):
    text = site.pages["index.html"].text
    assert "Part I Basics" in text
    assert "System parameters epochs accuracy (public, n = 100)" in text and "1,234 3 0.500 [0.400, 0.600]" in text


def test_the_first_language_has_the_index_and_old_pages_go(project):
    assert sorted(write(project, langs=["zh-TW"]).pages) == ["index.html", *(f"q{i}-{n}.html" for i, n in QUESTIONS)]
    assert "小報告" in read(project)["index.html"].text


QUESTIONS = [(1, "faces"), (2, "other"), (3, "nasty")]


@pytest.mark.parametrize(
    ("option", "folds", "printed"), [("appendix", 2, False), ("inline", 2, True), ("none", 0, False)]
)
def test_code_is_folded_shown_or_left_out(project, option, folds, printed):
    page = write(project, langs=["en"], code=option).pages["q1-faces.html"]
    assert len(page.all("details")) == folds and ("printed" in page.text) == printed
    assert all(("open" in fold) == (option == "inline") for fold in page.all("details"))
    assert ("passes = 2" in page.text) == (option != "none")


def test_an_output_cannot_make_pandoc_fetch_a_page():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/x.png"
    html = f'<iframe src="{address}"></iframe><img src="{address}">'
    convert([Text("a", html, is_html=True), Text("b", f"{html}\n\n![x]({address})")], "site")
    server.shutdown()
    assert asked == []


def contrast(one, other):
    """Of two colours (#rrggbb), by WCAG 2."""

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_every_colour_is_legible_in_light_and_dark():
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", (pages.TEMPLATES / "style.css").read_text(), re.S)
    )
    assert set(light) == set(dark)
    for scheme in (light, dark):
        for name in set(scheme) - {"paper", "tint", "line"}:
            assert min(contrast(scheme[name], scheme[ground]) for ground in ("paper", "tint")) >= 4.5, name
