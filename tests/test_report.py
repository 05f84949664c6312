"""The report from tiny notebooks: real kernels, real pandoc, real Typst, and the PDF read back."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import nbformat
import pytest
from catalogs import write_catalogs
from fer_report import __main__ as command
from fer_report import build, cells, execute, keys, messages, parameters, provenance, texts, translations
from fer_report.project import Project
from fer_report.terminal import screen
from fer_report.typst import compile, fonts
from fer_report.typst.compile import typeset, write_files
from fer_report.typst.exporter import TypstExporter, TypstPDFExporter
from fer_report.typst.literal import literal
from fer_report.typst.outputs import pieces
from fer_report.typst.source import compose
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fer_utils import metrics, settings

REPOSITORY = Path(__file__).resolve().parents[1]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" width="40"><rect width="9" height="9"/></svg>'
HOSTILE = 'A #panic("x") "q" \\ ] [ ` ``` * _ $ <a> @b // /* ~ = - + {} \n #{1/0}'

# What a notebook calls to show things; the outputs are those of fer_utils.prose.
SHOWN = f"""
import json, os
from IPython.display import display
from fer_utils.words import catalog, message, words
def show(bundle, **fer):
    display({{**bundle, "text/plain": "-"}}, raw=True, metadata={{"fer": fer}})
def say(text, **fields):
    text = words(text, **fields)
    show({{"text/markdown": text}}, kind="say", text=message(text))
def figure(caption, name, label="an axis"):
    said = {{lang: [catalog(lang).say(words(label))] for lang in ("en", "zh-TW")}}
    images = {{"zh-TW": '{SVG}'.replace('width="9"', 'width="8"')}}
    show({{"image/svg+xml": '{SVG}'}}, kind="figure", name=name, caption=message(words(caption)),
         labels=[message(words(label))], said=said, images=images)
    show({{"text/markdown": caption}}, kind="caption")
def table(header, rows, caption, name):
    show({{"text/html": "<table></table>"}}, kind="table", name=name, caption=message(words(caption)),
         header=header, align=["left"] + ["right"] * (len(header) - 1), rows=rows)
def ran(name):
    open("../ran.txt", "a").write(name + "\\n")
def cite(**record):  # as fer_utils.runs.cite
    open(os.environ["FER_CITED"], "a").write(json.dumps(record) + "\\n")
"""

FACES = r"""
%% markdown
# Faces and numbers
%% code parameters
passes = 2  # sweeps
lr = 0.5
preset = 'A'
layers = [8, 4]
profile = 'quick'
limit = None
%% code
from shown import cite, figure, ran, say, table
ran('faces')
run = {'settings': {'preset': 'A', 'profile': 'quick', 'seed': 0, 'model': 'cnn_a'}, 'parameters': 629077}
run.update(epochs=passes, seconds=51.2, processor='A processor', precision='float32', data={'training_images': 4000})
run.update(recorded=True, finished='2026-01-02T03:04:05')
run['scores'] = {'val': {'value': 0.5, 'n': 90}, 'public': {'value': 0.0625, 'low': 0.05, 'high': 0.075, 'n': 1598}}
cite(name='A-1', changed={}, **run)
cite(name='A-2', changed={'augmentation': {'shift': 0.25}}, **run)
print('printed', passes)
%% markdown
## Method
See [Figure](#fig-one), [Table](#tab-one), [Figure](#fig-none), $\frac{1}{2}$.
Intervals are those of [Wilson (1927)](https://doi.org/10.1080/01621459.1927.10502953).
%% code
figure('One **rectangle**.', 'fig-one')
say('It took {passes} passes.', passes=passes)
say('**In short:** all of {n} faces, p < .05. Every *one*. No more.', n=7)
%% code
rows = [[['Happy', {}], '1,234'], ['#x[', '5']]
table([['class', {}], 'n'], rows, 'All.', 'tab-one')
"""
OTHER = """
%% markdown
# Another one
%% code parameters
end = 'well'  # well, error or death
%% code
import os, shown
shown.ran('other')
shown.say('Before the end.')
%% code
if end == 'error':
    raise ValueError('bad #x[ "y"')
if end == 'death':
    os.kill(os.getpid(), 9)
"""
SLEEPING = """
%% code
import os, time
open('../pid', 'w').write(str(os.getpid()))
time.sleep(60)
"""
LONG = """
%% markdown
# A long one
%% code parameters
profile = 'quick'
%% code
import shown
shown.ran(f'long-{profile}')
if profile == 'full':
    shown.cite(missing=['B-full-s0-12345678'], seconds=4500)
    raise RuntimeError('too long')
shown.say('Answered in {profile}.', profile=profile)
"""
LISTING = """
%% code
import shown
from fer_utils import runs
shown.ran('listing')
def listed():
    return runs.list_finished()
"""
EDITION = """
title: Tiny report
edition: First
course: Course
picture: {notebook: faces, figure: fig-one, caption: "Seen before."}
questions:
  - part: First things
    number: 1
    points: 1
    notebook: faces
    question: Which faces?
    parameters: {passes: 3}
  - {number: 2, notebook: other}
"""

METHOD = FACES.split("%% markdown\n")[2].split("%%")[0].strip()
CHINESE = {  # by catalog
    "faces": {
        "# Faces and numbers": "# 臉與數字",
        METHOD: "## 方法\n見[圖](#fig-one)與[表](#tab-one)，**「重點」**說明 $x^2$。",
        "One **rectangle**.": "一個長方形。",
        "It took {passes} passes.": "共 {passes} 輪。",
        "**In short:** all of {n} faces, p < .05. Every *one*. No more.": "**小結：**{n} 張臉全部。無一*例外*。無他。",
        "class": "類別",
        "All.": "全部。",
        "sweeps": "輪數",
    },
    "other": {"# Another one": "# 另一本筆記", "Before the end.": "結束之前。"},
    "common": {"Happy": "高興", "an axis": "軸"},
    "report": {
        "Tiny report": "小報告",
        "First": "初版",
        "Course": "課程",
        "Seen before.": "先睹為快。",
        "First things": "開端",
        "Which faces?": "哪些臉？",
    },
}


def write_notebook(path, text):
    makers = {"markdown": new_markdown_cell, "code": new_code_cell}
    cells = []
    for heading, source in re.findall(r"^%% (.*)\n((?:(?!%%).*\n)*)", text, re.M):
        kind, *tags = heading.split()
        cells.append(makers[kind](source.strip(), id=f"{path.stem}-{len(cells)}", metadata={"tags": tags}))
    nbformat.write(new_notebook(cells=cells), path)


def make_project(root):
    for folder in ("notebooks", "report/editions"):
        (root / folder).mkdir(parents=True)
    (root / "notebooks/shown.py").write_text(SHOWN)
    write_notebook(root / "notebooks/faces.ipynb", FACES)
    write_notebook(root / "notebooks/other.ipynb", OTHER)
    (root / "report/editions/complete.yaml").write_text(EDITION)
    write_catalogs(root / "notebooks/locale/zh_TW", CHINESE)
    shutil.copy(REPOSITORY / "report/references.yml", root / "report")
    return Project(root)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project whose edition `complete` is built in both languages; tests that change it put it back."""
    project = make_project(tmp_path_factory.mktemp("project"))
    assert build.report(project, jobs=2)
    return project


def runs(project):
    return (project.root / "ran.txt").read_text().split()


def build_again(project, **how):
    lines = []
    return build.report(project, echo=lines.append, **how), "\n".join(lines)


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def pdf_text(pdf):
    from pypdf import PdfReader

    pages = PdfReader(io.BytesIO(pdf) if isinstance(pdf, bytes) else pdf).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def empty_boxes(pdf):
    """How many glyphs of a PDF are number 0, the empty box: Typst writes two-byte glyph numbers."""
    from pypdf import PdfReader
    from pypdf.generic import ByteStringObject, ContentStream, TextStringObject

    count, reader = 0, PdfReader(pdf)
    for page in reader.pages:
        for operands, _ in ContentStream(page.get_contents(), reader).operations:
            parts = operands[0] if operands and isinstance(operands[0], list) else operands
            for text in (p for p in parts if isinstance(p, (ByteStringObject, TextStringObject))):
                codes = text.original_bytes
                count += sum(codes[i : i + 2] == b"\0\0" for i in range(0, len(codes), 2))
    return count


def typeset_source(folder, source):
    write_files(folder, {"main.typ": source, "words.json": json.dumps(translations.FRAME)})
    return typeset(folder)[0]


# ---- data in Typst ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, True, -3, 0.25, "", HOSTILE.replace("\n", " "), "學號\n#x", [], [1], ["a", {"b": "]"}], {}]
)
def test_typst_reads_a_literal_back_as_the_same_value(tmp_path, value):
    import typst

    source = tmp_path / "main.typ"
    source.write_text(f"#metadata({literal(value)}) <it>", "utf-8")
    assert json.loads(typst.query(str(source), "<it>", field="value", one=True)) == value


def test_a_hostile_file_name_is_printed_as_it_is(built, monkeypatch):
    source = {"name": f"{HOSTILE}.csv", "fingerprint": "12ab", "drawn": False}
    monkeypatch.setattr(Project, "data_line", lambda self, known: source)
    shutil.rmtree(built.build / "typst")
    assert build_again(built, langs=["en"])[0]
    text = pdf_text(built.build / "report-complete-en.pdf")
    assert 'A #panic("x") "q" \\ ] [ ` ``` * _ $ <a> @b // /* ~ = - + {} #{1/0}.csv' in text
    shutil.rmtree(built.build / "typst")


TYPST_TABLE = """
show({"text/html": "<table></table>"}, kind="table", name="tab-hostile", caption=HOSTILE,
     header=[HOSTILE, "n"], align=["left", "right"], rows=[[HOSTILE, HOSTILE]])
"""


def test_hostile_class_names_are_printed_as_they_are(tmp_path):
    project = make_project(tmp_path)
    write_notebook(
        project.notebooks / "other.ipynb", f"%% code\nfrom shown import *\nHOSTILE = {HOSTILE!r}\n{TYPST_TABLE}\n"
    )
    (tmp_path / "report/editions/complete.yaml").write_text("questions: [{notebook: other}]")
    assert build.report(project, langs=["en"], code="inline", echo=str)
    assert pdf_text(project.build / "report-complete-en.pdf").count('#panic("x") "q"') >= 4


def test_a_hostile_author_and_title_are_printed_as_they_are(built):
    author = built.root / "report/author.yaml"
    author.write_text(json.dumps({"name": HOSTILE, "id": "007", "department": "", "collaborators": ["A #b", "C"]}))
    good, _ = build_again(built, langs=["en"])
    author.unlink()
    text = pdf_text(built.build / "report-complete-en.pdf")
    assert (
        good
        and 'A #panic("x") "q" \\ ] [ ` ``` * _ $ <a> @b // /* ~ = - + {}' in text
        and "007" in text
        and "Collaborators: A #b, C" in text
    )


HOSTILE_MARKDOWN = [
    ("```{=typst}\n#panic()\n```", "#panic()"),
    ("`#panic()`{=typst} #panic() @nobody <label>x", "#panic()"),
    ('<div typst:fill="panic()">inside</div>', "inside"),
    ('<span typst:text:fill="panic()">span</span>', "span"),
    ("---\ntitle: panic\n---\n\nafter", "after"),
    ('![alt](x.png){width="1pt, #panic()"}', "alt"),
    ("= x\n\n/ term: y // z /* w", "/ term: y // z /* w"),
    ("[link](#nowhere) and $\\sideset{}{'}\\sum$", "link"),
    ("```\nnever closed", "never closed"),
]


@pytest.mark.parametrize(("source", "expected"), HOSTILE_MARKDOWN)
def test_markdown_cannot_inject_typst(tmp_path, source, expected):
    both = [texts.Text("a", source, is_html=source.startswith("<")), texts.Text("b", "the next cell")]
    texts.convert(both, "typst", folder=tmp_path)
    body = "\n\n".join(text.shown for text in both)
    text = pdf_text(typeset_source(tmp_path, f'#import "kit.typ": *\n#show: report.with()\n{body}'))
    assert expected in text and "the next cell" in text


def typeset_markdown(folder, source, lang="en", columns="100%"):
    text = texts.Text("a", source)
    texts.convert([text], "typst", lang, folder=folder)
    settings = f'cover: false, lang: "{lang}"'
    body = f'#import "kit.typ": *\n#show: report.with({settings})\n#block(width: {columns})[{text.shown}]'
    return typeset_source(folder, body)


APOSTROPHES = [  # Markdown, language -> what is printed
    ("C1's and 5's, the networks' (2) people's", "en", "C1’s and 5’s, the networks’ (2) people’s"),
    ("He said \"it's 5' long\".", "en", "He said “it’s 5’ long”."),
    ("Adam's 與 `a'b`", "zh-TW", "Adam’s 與 a'b"),
]


@pytest.mark.parametrize(("source", "lang", "printed"), APOSTROPHES)
def test_an_apostrophe_is_no_prime(tmp_path, source, lang, printed):
    text = pdf_text(typeset_markdown(tmp_path, source, lang))
    assert printed.replace(" ", "") in text.replace(" ", "")


def test_an_apostrophe_in_a_table_is_no_prime():
    item = cells.Table("tab", texts.Text("a", ""), ["people's"], ["left"], [["5's 'x'"]])
    assert '"people’s"' in (source := pieces(item, "", {})[0]) and "5's 'x'" in source


def test_no_line_breaks_within_a_number_a_value_or_a_name(tmp_path):
    words = "word is n = 6,000 and p < .05 at 0.1 % by Grad-CAM++ or"
    for width in range(40, 100, 7):
        from pypdf import PdfReader

        pdf = typeset_markdown(tmp_path, " ".join([words] * 9), columns=f"{width}%")
        lines = [line.strip() for page in PdfReader(io.BytesIO(pdf)).pages for line in page.extract_text().splitlines()]
        assert not [line for line in lines if re.search(r"(\b[np]|[=<]|0\.1|Grad-|\+)$", line) and line[-5:] != "CAM++"]
        assert " ".join(lines).count("n = 6,000 and p < .05 at 0.1 % by Grad-CAM++") >= 1


def test_bold_is_a_bold_face(tmp_path):
    from pypdf import PdfReader

    for source in ("## Heading", "**strong**", "| head |\n|---|\n| cell |"):
        (page,) = PdfReader(io.BytesIO(typeset_markdown(tmp_path, source))).pages
        faces = {font.get_object()["/BaseFont"] for font in page["/Resources"]["/Font"].values()}
        assert any("LibertinusSerif-Bold" in face for face in faces), source


# ---- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "shown"),
    [
        ("1/3\r2/3\r3/3 done\n", "3/3 done"),
        ("abc\b\bX", "aXc"),
        ("\x1b[1m10\x1b[0m/10 \x1b[32m━━━\x1b[0m", "10/10 ━━━"),
        ("long line\rshort", "shortline"),
        ("x\n" * 100, "x\n" * 40 + "… 40 lines left out …\n" + "x\n" * 19 + "x"),
    ],
)
def test_a_stream_is_what_a_terminal_would_show(stream, shown):
    assert screen(stream) == shown


DEFAULTS = {"epochs": 2, "lr": 0.5, "preset": "A", "layers": [8, 4], "flip": True, "limit": None}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("preset=E epochs=3", {"preset": "E", "epochs": 3}),
        ("lr=1 layers=[1, 2] flip=false", {"lr": 1.0, "layers": [1, 2], "flip": False}),
        ("lr=1e-3  preset=007", {"lr": 0.001, "preset": "007"}),
        ("preset='two words' limit=9", {"preset": "two words", "limit": 9}),
        ("preset=a=b", {"preset": "a=b"}),
    ],
)
def test_settings_are_read_from_text_and_from_words(text, values):
    for words in (text, text.split(" "), [text]):
        assert settings.check(settings.parse(words, DEFAULTS), DEFAULTS, "notebook x") == values


def test_without_defaults_a_literal_has_its_own_type():
    assert settings.parse("a=007 b=7 c={'x': [1]} d=true") == {"a": "007", "b": 7, "c": {"x": [1]}, "d": True}
    assert settings.parse('a={"flip": true, "to": null} b=None') == {"a": {"flip": True, "to": None}, "b": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("passes=3", "notebook x has no parameter passes; it has epochs=2"),
        ("epochs=many", "epochs of notebook x is of type int"),
        ("epochs=2.5", "is of type float"),
        ("flip=1", "flip of notebook x is of type bool"),
        ("lr=True", "lr of notebook x is of type float"),
        ("layers=5", "layers of notebook x is of type list"),
        ("preset", "name=value"),
    ],
)
def test_wrong_settings_are_errors_of_one_line(text, message):
    with pytest.raises(settings.SettingsError, match=message) as caught:
        settings.check(settings.parse(text, DEFAULTS), DEFAULTS, "notebook x")
    assert "\n" not in str(caught.value)


def notebook_of(*cells):
    return {"cells": [{"cell_type": "code", "source": source, "metadata": {}} for source in cells]}


PACK = {
    "pack/__init__.py": '"""Only a docstring."""',
    "pack/one.py": "from . import two\nfrom .three import x",
    "pack/two.py": "def late():\n    import pack.four",
    "pack/three.py": 'def x():\n    """Say x."""\n    return 1',
    "pack/four.py": "",
    "pack/sub/__init__.py": "",
    "pack/sub/deep.py": "from ..four import nothing",
    "pack/unused.py": "",
    "notebooks/beside.py": "import pack",
    "beside.py": "import pack.unused",
}

# what a cell imports -> the modules of its key, without `pack/__init__`
REACHED = [
    ("import pack", []),
    ("from pack import one", ["four", "one", "three", "two"]),
    ("from pack.three import x", ["three"]),  # a function: no other module of its package
    ("import pack.sub.deep", ["four", "sub/__init__", "sub/deep"]),
    ("from pack.sub import deep as d", ["four", "sub/__init__", "sub/deep"]),
    ("%matplotlib inline\nfiles = !ls\nfrom pack import four", ["four"]),
    ("if True:\n    %time f()\n    import pack.four", ["four"]),
    ("%%bash\nimport pack.four\nls -la", ["four"]),  # better once too often
    ("import beside", ["../notebooks/beside"]),
    ("# import pack.one\nimport pack\ntext = 'import pack.four'", []),
]


def write_pack(root):
    for name, text in PACK.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(("cell", "modules"), REACHED, ids=[cell for cell, _ in REACHED])
def test_a_key_holds_the_modules_that_a_cell_reaches(cell, modules, tmp_path):
    write_pack(tmp_path)
    reached = keys.ingredients(notebook_of("1 +", cell), {}, tmp_path, "")["modules"]
    expected = [os.path.normpath(f"pack/{name}.py") for name in ["__init__", *modules]]
    assert sorted(reached) == sorted(expected)


def test_a_key_ignores_comments_and_docstrings(tmp_path):
    write_pack(tmp_path)
    notebook = notebook_of("from pack import one")
    reached = keys.ingredients(notebook, {}, tmp_path, "")["modules"]
    (tmp_path / "pack/three.py").write_text("# a comment\ndef x():\n  return  1\n")
    (tmp_path / "pack/__init__.py").write_text('"""Another docstring."""')
    assert keys.ingredients(notebook, {}, tmp_path, "")["modules"] == reached
    (tmp_path / "pack/three.py").write_text("x = 2")
    assert keys.ingredients(notebook, {}, tmp_path, "")["modules"] != reached
    shown = [keys.ingredients(notebook_of(cell), {}, tmp_path, "")["code"] for cell in ("'a string'", "'another'")]
    assert shown[0] != shown[1]


# cells -> whether they list all runs, whether they read the votes
USED = [
    (["from fer_utils import runs", "for run in runs.list_finished(): pass"], True, False),
    (["from fer_utils.runs import list_finished", "list_finished()"], True, False),
    (["from fer_utils.runs import list_finished as every", "found = sorted(every(), key=len)"], True, False),
    (["import fer_utils.runs as r\nx = !ls\nfirst = r.list_finished()[0]"], True, False),
    (["import fer_utils.runs", "fer_utils.runs.list_finished()"], True, False),
    (["from fer_utils.runs import *", "list_finished()"], True, False),
    (["from fer_utils import runs", "# runs.list_finished()", "'runs.list_finished()'"], False, False),
    (["from fer_utils import runs", "runs.fit_all([])", "self.list_finished()"], False, False),
    (["from fer_utils.runs import list_finished"], False, False),
    (["from fer_utils import ferplus", "%matplotlib inline\nvotes = ferplus.votes(dataset)"], False, True),
    (["from fer_utils.ferplus import votes", "votes(dataset)"], False, True),
    (["import fer_utils.ferplus as people", "people.votes(dataset)"], False, True),
    (["from fer_utils.studies import duplicates", "votes = duplicates.votes", "votes[0]"], False, False),
    (["from fer_utils import ferplus", "text = 'ferplus.votes('  # ferplus.votes(dataset)"], False, False),
]


@pytest.mark.parametrize(("cells", "runs_matter", "votes_matter"), USED, ids=["\n".join(cells) for cells, *_ in USED])
def test_new_runs_and_new_votes_matter_to_notebooks_that_use_them(
    cells, runs_matter, votes_matter, tmp_path, monkeypatch
):
    monkeypatch.setenv("FER_RUNS", str(tmp_path))
    notebook = notebook_of(*cells)
    before = keys.ingredients(notebook, {}, tmp_path, "data")
    assert (keys.ingredients(notebook, {}, tmp_path, "data", "votes.csv 7 1") != before) == votes_matter
    (tmp_path / "new").mkdir()
    (tmp_path / "new/run.json").write_text("{}")
    assert (keys.ingredients(notebook, {}, tmp_path, "data") != before) == runs_matter


MISTAKES = [
    ("complete.yaml", None, ["report", "--edition", "nope"], "no edition 'nope'; there are: complete"),
    ("complete.yaml", None, ["question", "nope"], "no notebook 'nope'; there are: faces, other"),
    ("complete.yaml", None, ["question", "faces", "--set", "epochs=1"], "no parameter epochs; it has passes=2"),
    ("complete.yaml", "questions: [", ["report"], "not valid YAML"),
    ("complete.yaml", "title: x", ["report"], "at least one question"),
    ("complete.yaml", "questions: [{notebook: faces, point: 1}]", ["report"], "unknown point; known are bonus"),
    ("complete.yaml", "questions: [{notebook: faces, question: {en: x}}]", ["report"], "`question` must be a text"),
    ("complete.yaml", None, ["report", "--langs", "fr"], "no translations into fr in"),
    (
        "complete.yaml",
        "questions: [{notebook: faces, parameters: {passes: two}}]",
        ["report"],
        "passes of notebook faces",
    ),
    ("complete.yaml", "questions: [{notebook: ../x}]", ["report"], "no notebook '../x'"),
]


@pytest.mark.parametrize(("name", "content", "arguments", "message"), MISTAKES)
def test_mistakes_are_told_without_a_traceback(tmp_path, capsys, name, content, arguments, message):
    project = make_project(tmp_path)
    if content:
        (tmp_path / "report/editions" / name).write_text(content)
    assert command.main([*arguments, "--root", str(project.root)]) == 1
    printed = capsys.readouterr().err
    assert message in printed and printed.startswith("error: ") and not (tmp_path / "build").exists()


# ---- the whole way ---------------------------------------------------------------------------------------------------


ENGLISH = [
    *(
        "Tiny report",
        "Answers at a glance",
        "Question 1 · 1 %",
        "Faces and numbers",
        "Which faces?",
        "Question 2",
        "Another one",
    ),
    *("See Figure 1, Table 1, Figure", "Figure 1 One rectangle.", "Table 1 All.", "class", "#x[", "It took 3 passes."),
    *("Before the end.", "Code", "passes = 3"),
]
IN_CHINESE = [
    *(
        "小報告",
        "第1題·佔1%",
        "臉與數字",
        "哪些臉？",
        "第2題",
        "另一本筆記",
        "見圖1與表1，「重點」說明",
        "圖1一個長方形。",
    ),
    *("表1全部。", "類別", "高興", "共3輪。", "結束之前。", "程式碼"),
]


def test_the_pdf_holds_both_languages_numbers_and_references(built):
    english = pdf_text(built.build / "report-complete-en.pdf")
    chinese = pdf_text(built.build / "report-complete-zh-TW.pdf")
    for text in ENGLISH:
        assert text in english, text
    for text in IN_CHINESE:
        assert text in chinese.replace(" ", ""), text
    english, chinese = (text.split("passes = 2")[0] for text in (english, chinese))  # without the code
    assert "長方形" not in english and "rectangle" not in chinese and "printed" not in english


@pytest.mark.parametrize(
    "lang, words",
    [
        ("en", ["Seen before.", "Computed: 20"]),
        ("en", ["Part I First things", "Settings and provenance", "augmentation = shift 0.25", "A processor"]),
        ("en", ["ship with the kit", "A · quick · 0 (A processor, 2026-01-02)"]),
        ("en", ["Recorded on A processor, 2026-01-02"]),
        ("zh-TW", ["先睹為快。", "第I部分開端", "設定與來源"]),
    ],
)
def test_cover_parts_and_provenance(built, lang, words):
    text = pdf_text(built.build / f"report-complete-{lang}.pdf")
    text = text.replace(" ", "") if lang == "zh-TW" else text
    for word in words:
        assert word in text, word
    assert text.count("629,077") == 2  # in the appendix; the cover has no numbers


# language -> what stands on page 2; Figure 1 and Question 1 are on page 3
ANSWERS = {
    "en": [
        *(
            "Answers at a glance",
            "1 1 % Faces and numbers All of 7 faces, p < .05. Every one. 1 3",
            "2 Another one – 3",
        ),
        *("on the 1,598 images of the test split (public)", "±2.2 to ±2.4 points", "2 of 2 settings"),
    ],
    "zh-TW": ["答案一覽", "1佔1%臉與數字7張臉全部。無一例外。13", "2另一本筆記–3", "1,598張", "±2.2至±2.4"],
}


@pytest.mark.parametrize("lang", ANSWERS)
def test_page_two_answers_every_question(built, lang):
    from pypdf import PdfReader

    pages = PdfReader(built.build / f"report-complete-{lang}.pdf").pages
    text, spaces = " ".join(pages[1].extract_text().split()), lang == "en"
    for words in ANSWERS[lang]:
        assert words in (text if spaces else text.replace(" ", "")), (words, text)
    assert "No more" not in text and "無他" not in text and len(pages[1]["/Annots"]) >= 6
    chapter = " ".join(pages[2].extract_text().split())
    assert ("In short: all of 7 faces, p < .05. Every one. No more." if spaces else "無他。") in chapter


def test_the_code_appendix_says_where_code_is(built):
    from pypdf import PdfReader

    last = " ".join(PdfReader(built.build / "report-complete-en.pdf").pages[-1].extract_text().split())
    assert (
        "Appendix Code The code that the answers rest on." in last and "Faces and numbers notebooks/faces.ipynb" in last
    )
    assert build_again(built, langs=["en"], code="none")[0]
    assert "notebooks/faces.ipynb" not in pdf_text(built.build / "report-complete-en.pdf")
    assert build_again(built)[0]


def test_listings_and_further_sections_stand_behind_the_chapters(tmp_path):
    listing = '#numbered-listing(name: "lst-a", source: "x = 1", files: ("a.py",), [A network.])'
    source = f"""#import "kit.typ": *
#show: report.with(title: "t", cover: false)
#question(id: "q1", number: 1, title: [T])
#further-results(("q1", [== More]),)
#code-appendix(("q1", "notebooks/a.ipynb"), listings: (("q1", [{listing}]),))"""
    text = pdf_text(typeset_source(tmp_path, source))
    parts = ["Question 1 · T", "More", "Code", "T notebooks/a.ipynb", "Listing 1 A network.", "x = 1"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


LONG_ANSWER = {
    "en": "Of the nine networks trained in full, the one with twice as many convolutions is the most accurate "
    "(0.648 [0.632, 0.664], n = 3,589). The others stay behind it, two of them by more than their intervals. ",
    "zh-TW": "完整訓練的九個網路之中，卷積數量多一倍的網路最準確（0.648 [0.632, 0.664]，n = 3,589），"
    "其餘皆落後，其中兩個落後的幅度大於信賴區間。",
}


@pytest.mark.parametrize("lang", LONG_ANSWER)
def test_fifteen_long_answers_fit_one_page(tmp_path, lang):
    names = [f"q{i}" for i in range(1, 16)]
    said = f"[{LONG_ANSWER[lang]}]"
    rows = " ".join(f'(id: "{name}", number: 1, points: 1, bonus: false, said: {said}),' for name in names)
    chapters = "\n".join(f'#question(id: "{name}", number: 1, title: [A title])' for name in names)
    settings = f'title: "t", lang: "{lang}", caveat: ("one", "two"), answers: ({rows})'
    pdf = typeset_source(tmp_path, f'#import "kit.typ": *\n#show: report.with({settings})\n{chapters}')
    from pypdf import PdfReader

    pages, sizes = PdfReader(io.BytesIO(pdf)).pages, []
    pages[1].extract_text(visitor_text=lambda text, _, matrix, font, size: text.strip() and sizes.append(size))
    assert pages[1].extract_text().count("3,589") == 15 and "Question 1" in pages[2].extract_text()
    assert min(sizes) >= 7


@pytest.mark.parametrize(
    ("paragraph", "answer"),
    [
        ("**In short:** it is so.", "It is so."),
        (
            "**In short:** `raw` (n = 3,589, p = .5). At 0.5 % more. And more.",
            "`raw` (n = 3,589, p = .5). At 0.5 % more.",
        ),
        ("**小結：**一。二。三。", "一。二。"),
        ("**小結：**只有一句。", "只有一句。"),
    ],
)
def test_an_answer_in_short_is_two_sentences_without_its_lead_in(paragraph, answer):
    assert cells.answer_of(paragraph) == answer


@pytest.mark.parametrize(("share", "n"), [(0.5, 3589), (0.7, 598), (0.5, 4)])
def test_the_width_of_an_interval_is_wilsons(share, n):
    _, low, high, _ = metrics.share(share * n, n)
    assert provenance.half_width(share, n) == pytest.approx((high - low) / 2, abs=1e-6)


def test_a_link_to_a_known_work_becomes_a_citation(built):
    text = pdf_text(built.build / "report-complete-en.pdf")
    assert "Intervals are those of Wilson (1927)." in text
    assert "Wilson, E. B. (1927). Probable Inference" in text and "Guo" not in text


def test_warnings_name_the_cell_and_are_repeated_while_they_hold(built):
    assert all("warning: faces: cell faces-3: link to #fig-none" in build_again(built)[1] for _ in range(2))


def test_no_character_is_an_empty_box(built, tmp_path):
    assert all(empty_boxes(path) == 0 for path in built.build.glob("*.pdf"))
    (tmp_path / "box.pdf").write_bytes(typeset_source(tmp_path, "#set page(height: auto)\nA 🦄 B"))
    assert empty_boxes(tmp_path / "box.pdf") == 1 and fonts.missing("學號 A 🦄 → ✓ ∂") == ["🦄"]


def test_nothing_changed_nothing_runs_and_nothing_is_written(built):
    before = {path: path.stat().st_mtime_ns for path in built.build.rglob("*") if path.is_file()}
    good, lines = build_again(built)
    assert good and lines.count("cached") == 2 and lines.count("unchanged") == 2
    assert {path: path.stat().st_mtime_ns for path in built.build.rglob("*") if path.is_file()} == before
    assert sorted(runs(built)) == ["faces", "other"]


def test_the_same_outputs_give_the_same_bytes(built):
    pdf = built.build / "report-complete-zh-TW.pdf"
    first = pdf.read_bytes()
    pdf.unlink()
    shutil.rmtree(built.build / "typst")
    build_again(built)
    assert pdf.read_bytes() == first and len(runs(built)) == 2


def test_an_edited_text_is_woven_in_without_a_run(built):
    notebook = built.notebooks / "faces.ipynb"
    edit(notebook, "# Faces and numbers", "# A new title")
    edit(notebook, "# sweeps", "# another word of help")
    good, lines = build_again(built)
    text = pdf_text(built.build / "report-complete-en.pdf")
    assert build_again(built, langs=["en"], code="inline")[0]
    text += pdf_text(built.build / "report-complete-en.pdf")
    edit(notebook, "# A new title", "# Faces and numbers")
    edit(notebook, "# another word of help", "# sweeps")
    assert good and "written" in lines and len(runs(built)) == 2
    assert "A new title" in text and "another word" in text and "It took 3 passes" in text


def test_an_edited_search_for_leaks_renews_what_the_report_says_of_the_data(built):
    search = built.root / "fer_utils/studies/leaks.py"
    search.parent.mkdir(parents=True)
    for source in ("LIMIT = 0.01", "LIMIT = 0.02"):
        search.write_text(source)
        assert "written" in build_again(built, langs=["en"])[1]
        assert "unchanged" in build_again(built, langs=["en"])[1]
    shutil.rmtree(built.root / "fer_utils")
    assert build_again(built, langs=["en"])[0]


def test_a_changed_parameter_runs_its_question_only_and_editions_share_outputs(built):
    count = len(runs(built))
    second = built.root / "report/editions/second.yaml"
    second.write_text(EDITION.replace("passes: 3", "passes: 4"))
    assert build_again(built, edition="second", langs=["en"])[0]
    assert runs(built)[count:] == ["faces"]
    assert "It took 4 passes." in pdf_text(built.build / "report-second-en.pdf")
    second.write_text(EDITION.replace("passes: 3", "passes: 3, lr: 0.5"))  # its default: the same question as before
    assert build_again(built, edition="second", langs=["en"])[0] and len(runs(built)) == count + 1
    second.unlink()


def test_the_site_is_made_from_the_same_outputs(built):
    count = len(runs(built))
    assert command.main(["site", "--langs", "zh-TW", "--root", str(built.root)]) == 0
    assert len(runs(built)) == count
    assert "臉與數字" in (built.build / "site/q1-faces.html").read_text("utf-8")


def test_a_question_by_itself_touches_nothing_else(built):
    before = {path: path.read_bytes() for path in built.build.glob("report-*.pdf")}
    count, lines = len(runs(built)), []
    assert build.question(built, "faces", given="passes=3 preset=E", langs=["zh-TW"], echo=lines.append)
    text = pdf_text(built.build / "question-faces-zh-TW.pdf")
    assert runs(built)[count:] == ["faces"] and "臉與數字" in text and "preset = 'E'" in text and "目錄" not in text
    assert {path: path.read_bytes() for path in built.build.glob("report-*.pdf")} == before


@pytest.mark.parametrize(("end", "message"), [("error", 'ValueError: bad #x[ "y"'), ("death", "DeadKernelError")])
def test_a_failing_question_is_marked_in_the_pdf_and_in_the_exit_code(built, capsys, end, message):
    edition = built.root / "report/editions/failing.yaml"
    edition.write_text(f"questions: [{{notebook: other, parameters: {{end: {end}}}}}, {{notebook: faces}}]")
    assert command.main(["report", "--edition", "failing", "--langs", "en", "--root", str(built.root)]) == 1
    said = capsys.readouterr().out
    assert f"FAILED other: code cell 3, if end == 'error':: {message}" in said
    text = pdf_text(built.build / "report-failing-en.pdf")
    assert text.count("This could not be computed") == 2 and message in text and "Faces and numbers" in text
    assert "1 Another one This could not be computed" in text  # in the table of answers
    receipts = [json.loads(path.read_text()) for path in (built.build / "executed").glob("other-*.json")]
    assert [r["status"] for r in receipts if r["parameters"]["end"] == end] == ["failed"]
    count = len(runs(built))
    assert not build_again(built, edition="failing", langs=["en"])[0]
    assert runs(built)[count:] == ["other"]  # a failure is tried again


def test_what_typst_refuses_is_replaced_by_a_note(built):
    notebook = built.notebooks / "faces.ipynb"
    stored = [p for p in (built.build / "executed").glob("faces-*.ipynb") if "3 passes" in p.read_text()]
    originals = {path: path.read_text() for path in stored}
    for path in stored:
        edit(path, "<svg ", "<vsg ")
    edit(notebook, "## Method", "## Methods")
    good, lines = build_again(built, langs=["en"])
    edit(notebook, "## Methods", "## Method")
    for path, text in originals.items():
        path.write_text(text)
    text = pdf_text(built.build / "report-complete-en.pdf")
    assert not good and "FAILED faces: cell faces-4 cannot be typeset" in lines
    assert "This could not be computed" in text and "Table 1" in text and "Another one" in text
    assert build_again(built)[0]


def test_drawn_data_are_announced_on_the_cover_and_on_every_page(built, monkeypatch):
    line = {"name": "drawn faces", "fingerprint": "12ab", "drawn": True, "leaks": "Leak: copies in public 3"}
    monkeypatch.setattr(Project, "data_line", lambda self, known: line)
    monkeypatch.setattr(Project, "data_fingerprint", lambda self: "")
    shutil.rmtree(built.build / "typst")
    assert build_again(built, langs=["en"])[0]
    from pypdf import PdfReader

    pages = [page.extract_text() for page in PdfReader(built.build / "report-complete-en.pdf").pages]
    assert all("Drawn faces, not FER2013" in page for page in pages) and "12ab" in pages[0] and len(pages) > 3
    assert [line["leaks"] in page for page in pages] == [True] + [False] * (len(pages) - 1)
    shutil.rmtree(built.build / "typst")


def test_a_notebook_that_lists_the_trainings_runs_last_and_again_after_a_new_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_RUNS", str(tmp_path / "runs"))
    project = make_project(tmp_path)
    write_notebook(project.notebooks / "listing.ipynb", LISTING)
    (tmp_path / "report/editions/complete.yaml").write_text("questions: [{notebook: listing}, {notebook: other}]")
    assert build.report(project, langs=["en"], echo=str)
    assert build.report(project, langs=["en"], echo=str)
    assert runs(project) == ["other", "listing"]
    (tmp_path / "runs/new").mkdir(parents=True)
    (tmp_path / "runs/new/run.json").write_text("{}")
    assert build.report(project, langs=["en"], echo=str)
    assert runs(project) == ["other", "listing", "listing"]


def test_long_trainings_are_put_off_and_the_question_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("TRAIN", raising=False)
    project = make_project(tmp_path)
    write_notebook(project.notebooks / "long.ipynb", LONG)
    (tmp_path / "report/editions/complete.yaml").write_text("questions: [{notebook: long}, {notebook: other}]")
    good, lines = build_again(project, langs=["en"], profile="full")
    text = pdf_text(project.build / "report-complete-en.pdf")
    assert good and "long   postponed" in lines and "FAILED" not in lines
    assert "Answered in profile quick: the full one needs 1 training(s)" in text and "about 1:15 h" in text
    assert "Answered in quick." in text and text.count("(in profile quick)") == 1  # in the table of answers
    assert "Before the end." in text
    assert sorted(runs(project)) == ["long-full", "long-quick", "other"]
    good, lines = build_again(project, langs=["en"], profile="full")
    assert good and "too long without TRAIN=1" in lines and len(runs(project)) == 3  # nothing runs again
    (tmp_path / "runs/B-full-s0-12345678").mkdir(parents=True)
    (tmp_path / "runs/B-full-s0-12345678/run.json").write_text("{}")
    build.question(project, "long", profile="full", langs=["en"], echo=str)
    assert runs(project)[3:] == ["long-full"]  # what it lacked is there
    shutil.rmtree(tmp_path / "runs")
    monkeypatch.setenv("TRAIN", "1")
    assert not build.question(project, "long", profile="full", langs=["en"], echo=str)
    assert runs(project)[4:] == ["long-full"]


def test_a_notebook_in_one_language(tmp_path):
    project = make_project(tmp_path)
    assert command.main(["notebooks", "--langs", "zh-TW", "--root", str(tmp_path)]) == 0
    copy = project.build / "notebooks/zh-TW/faces.ipynb"
    notebook = nbformat.read(copy, as_version=4)
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "臉與數字" in text and "Faces and numbers" not in text
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0] == "%env FER_LANG=zh-TW" and "passes = 2  # 輪數" in code[1]
    copy.write_text("edited")
    assert command.main(["notebooks", "--root", str(tmp_path)]) == 0
    assert copy.read_text() == "edited" and (project.build / "notebooks/en/faces.ipynb").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_half_written(tmp_path, number):
    project = make_project(tmp_path)
    write_notebook(project.notebooks / "other.ipynb", SLEEPING)
    (tmp_path / "report/editions/complete.yaml").write_text("questions: [{notebook: other}]")
    started = subprocess.Popen(
        [sys.executable, "-m", "fer_report", "report", "--root", tmp_path], stderr=subprocess.PIPE
    )
    pid = tmp_path / "pid"
    while not (pid.is_file() and pid.read_text()):
        assert started.poll() is None
        time.sleep(0.05)
    started.send_signal(number)
    assert started.wait(30) == 130 and b"Traceback" not in started.stderr.read()
    assert not list(tmp_path.glob("build/**/*.*"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# waiting, at work -> which is next
NEXT = [
    (["a A", "b A", "c B"], [], "a"),
    (["b A", "c B"], ["a A"], "c"),
    (["b A", "m"], ["a A"], "m"),
    (["b A", "d A"], ["a A"], "b"),
    (["m", "b A"], ["n"], "m"),
]


@pytest.mark.parametrize(("waiting", "running", "expected"), NEXT)
def test_two_that_may_want_the_same_training_do_not_run_side_by_side(waiting, running, expected):
    def task(words):
        name, *preset = words.split()
        return execute.Task(name, {}, name, {"parameters": {"preset": preset[0]} if preset else {}})

    assert execute._next([*map(task, waiting)], [*map(task, running)]).notebook == expected


TOLD = """
%% code
import json, os
names = ("JOBS", "TF_NUM_INTRAOP_THREADS", "SOURCE_DATE_EPOCH")
told = {**{name: os.environ.get(name) for name in names}, "place": os.getcwd()}
json.dump(told, open("../NAME.json", "w"))
"""


def test_kernels_share_the_cores_and_do_not_see_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS", "7")
    project = make_project(tmp_path)
    for name in ("faces", "other"):
        write_notebook(project.notebooks / f"{name}.ipynb", TOLD.replace("NAME", name))
    (tmp_path / "report/editions/complete.yaml").write_text("questions: [{notebook: faces}, {notebook: other}]")
    assert build.report(project, langs=["en"], jobs=2, echo=str)
    threads = str(max(1, os.cpu_count() // 2))
    expected = {"JOBS": None, "TF_NUM_INTRAOP_THREADS": threads, "SOURCE_DATE_EPOCH": "0"}
    expected["place"] = str(project.notebooks)
    assert [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("faces", "other")] == [expected] * 2


ASLEEP = """
%% code
import os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
open("../NAME.tmp", "w").write(f"{os.getpid()} {child.pid}")
os.rename("../NAME.tmp", "../NAME.pids")
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_report_that_is_stopped_takes_its_kernels_with_it(tmp_path, number):
    project, names = make_project(tmp_path), ("one", "two", "three")
    for name in names:
        write_notebook(project.notebooks / f"{name}.ipynb", ASLEEP.replace("NAME", name))
    questions = ", ".join(f"{{notebook: {name}}}" for name in names)
    (tmp_path / "report/editions/complete.yaml").write_text(f"questions: [{questions}]")
    command = [sys.executable, "-m", "fer_report", "report", "--jobs", "3", "--root", tmp_path]
    report = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    notes = [tmp_path / f"{name}.pids" for name in names]
    while not all(note.is_file() for note in notes):
        assert report.poll() is None
        time.sleep(0.05)
    report.send_signal(number)
    report.wait(30)
    pids = [tuple(map(int, note.read_text().split())) for note in notes]
    alive = {pid for kernel, child in pids for pid in (kernel, child)}
    if number == signal.SIGKILL:  # nobody can stop what a kernel started; the kernel sees that its parent is gone
        alive -= {child for _, child in pids}
    end = time.monotonic() + 10
    while alive and time.monotonic() < end:
        alive = {pid for pid in alive if os.path.exists(f"/proc/{pid}")}
        time.sleep(0.1)
    for _, child in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    assert not alive


# ---- for everybody ---------------------------------------------------------------------------------------------------


def alternative_texts(pdf):
    """The alternative texts of figures and formulas, by kind, in order."""
    found, waiting = {"/Figure": [], "/Formula": []}, [pdf.trailer["/Root"]["/StructTreeRoot"]]
    while waiting:
        node = waiting.pop(0).get_object()
        if isinstance(node, dict):
            if "/Alt" in node and node.get("/S") in found:
                found[node["/S"]].append(str(node["/Alt"]))
            children = node.get("/K", [])
            waiting = [*(children if isinstance(children, list) else [children]), *waiting]
    return found


@pytest.mark.parametrize(
    ("lang", "title", "caption"), [("en", "Tiny report", "One rectangle."), ("zh-TW", "小報告", "一個長方形。")]
)
def test_a_report_is_accessible(built, lang, title, caption):
    from pypdf import PdfReader

    pdf = PdfReader(built.build / f"report-complete-{lang}.pdf")
    root = pdf.trailer["/Root"]
    assert "<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data().decode()
    assert root["/Lang"] == lang and pdf.metadata.title == title and root["/MarkInfo"]["/Marked"]
    alternatives = alternative_texts(pdf)
    assert caption in alternatives["/Figure"]
    assert alternatives["/Formula"] == [r"\frac{1}{2}" if lang == "en" else "x^2"]


def test_a_question_by_itself_is_accessible(built):
    from pypdf import PdfReader

    assert build.question(built, "faces", given="passes=3", langs=["en"], echo=str)
    pdf = PdfReader(built.build / "question-faces-en.pdf")
    assert "<pdfuaid:part>1</pdfuaid:part>" in pdf.trailer["/Root"]["/Metadata"].get_data().decode()


def test_what_cannot_be_accessible_is_printed_with_a_warning(built):
    edit(built.notebooks / "faces.ipynb", "## Method", "#### Method")  # a level is left out
    good, lines = build_again(built, langs=["en"])
    edit(built.notebooks / "faces.ipynb", "#### Method", "## Method")
    assert good and "warning: typst: the PDF is not accessible: PDF/UA-1 error: skipped" in lines
    assert build_again(built)[0]


# ---- pages -----------------------------------------------------------------------------------------------------------


def page_texts(pdf):
    from pypdf import PdfReader

    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages]


def shown_by_prose(**fer):
    data = {"image/svg+xml": SVG.replace('width="40"', 'width="400"')} if fer["kind"] == "figure" else {}
    return new_output("display_data", {**data, "text/plain": "-"}, metadata={"fer": fer})


@pytest.mark.parametrize("apart", [True, False])
def test_sections_tagged_appendix_and_listings_are_kept_apart_in_a_report(apart):
    listing = shown_by_prose(
        kind="listing", name="lst-a", caption=["Code.", {}], places=[["a.py", "f"]], source="x = 1"
    )
    short = shown_by_prose(kind="say", text=["**In short:** the answer.", {}])
    cells = [
        new_markdown_cell("# T"),
        new_code_cell("x", outputs=[listing]),
        new_markdown_cell("## More", metadata={"tags": ["appendix"]}),
        new_markdown_cell("Of it."),
        new_code_cell("y", outputs=[short]),
        new_markdown_cell("## Next"),
    ]
    parts = compose(new_notebook(cells=cells), "x", code="appendix", apart=apart).parts
    chapter, further, listings = (parts[place] for place in ("chapter", "further", "listings"))
    assert "the answer" in chapter and "Next" in chapter
    assert [("Of it." in text, "x = 1" in text) for text in (chapter, further, listings)] == (
        [(False, False), (True, False), (False, True)] if apart else [(True, True), (False, False), (False, False)]
    )


@pytest.mark.parametrize(("written", "printed"), [(" <!-- a hint -->", False), (" Brows *count*.", True)])
def test_an_observation_is_printed_once_it_is_written(written, printed):
    cell = new_markdown_cell(f"**Your observation:**{written}", metadata={"tags": [cells.OBSERVATION]})
    chapter = compose(new_notebook(cells=[cell]), "x").parts["chapter"]
    assert ("#observation[" in chapter, "#emph[count]" in chapter) == (printed, printed)
    assert "Your observation" not in chapter and not messages.messages_of_notebook({"cells": [cell]})


LAST = {  # what an answer in short stays with
    "text": shown_by_prose(kind="say", text=["LAST words.", {}]),
    "figure": shown_by_prose(kind="figure", name="fig-x", caption=["LAST figure.", {}]),
    "table": shown_by_prose(
        kind="table", name="tab-x", caption=["LAST.", {}], header=["a"], align=["left"], rows=[["b"]] * 9
    ),
}


@pytest.mark.parametrize("lines", [20, 25, 29, 33, 37, 41])
@pytest.mark.parametrize("kind", LAST)
def test_an_answer_in_short_is_whole_and_stays_with_what_is_before_it(kind, lines, tmp_path):
    short = shown_by_prose(kind="say", text=["**In short:** BEGIN. " + "All of it. " * 60 + "END.", {}])
    outputs = [*(shown_by_prose(kind="say", text=["A line.", {}]) for _ in range(lines)), LAST[kind], short]
    notebook = new_notebook(
        cells=[new_markdown_cell("# T"), new_code_cell("x", outputs=outputs), new_markdown_cell("## Behind")]
    )
    pages = page_texts(TypstPDFExporter(code="none").from_notebook_node(notebook, {"metadata": {}})[0])
    places = {word: [i for i, page in enumerate(pages) if word in page] for word in ("LAST", "BEGIN", "END", "Behind")}
    assert places["LAST"] == places["BEGIN"] == places["END"] and len(places["BEGIN"]) == 1
    assert places["Behind"] >= places["END"]


@pytest.mark.parametrize("lines", [20, 30, 34, 38])
def test_a_figure_stays_in_its_section(lines):
    say = shown_by_prose(kind="say", text=["A line.", {}])
    outputs = [*[say] * lines, LAST["figure"], say, say]
    cells = [new_markdown_cell("# T"), new_code_cell("x", outputs=outputs), new_markdown_cell("## Next section")]
    pdf, _ = TypstPDFExporter(code="none").from_notebook_node(new_notebook(cells=cells), {"metadata": {}})
    text = " ".join(page_texts(pdf))
    assert text.index("LAST figure") < text.index("Next section") and text.count("A line.") == lines + 2


@pytest.mark.parametrize("lines", [38, 39, 40])
def test_a_note_stays_with_the_text_behind_it(lines):
    say = shown_by_prose(kind="say", text=["A line.", {}])
    note = new_markdown_cell("*NOTE*", metadata={"tags": ["note"]})
    cells = [new_markdown_cell("# T"), new_code_cell("x", outputs=[say] * lines), note, new_markdown_cell("END " * 60)]
    pages = page_texts(TypstPDFExporter(code="none").from_notebook_node(new_notebook(cells=cells), {"metadata": {}})[0])
    assert "END" in next(page for page in pages if "NOTE" in page)


TALL = "#block(height: 24.5cm, breakable: false, fill: gray)[tall]"
FLOWS = [  # bodies of chapters -> pages that are mostly blank, though the next one does not begin on purpose
    (["A line.", "Another."], []),
    ([f"A line. {TALL}"], [1]),
    (["A line. #begin-page()", f"A line. {TALL} A line. {TALL} #begin-page()", "A line."], [2]),
]


@pytest.mark.parametrize(("chapters", "expected"), FLOWS)
def test_pages_that_are_mostly_blank_are_warned_of(tmp_path, chapters, expected):
    source = '#import "kit.typ": *\n#show: report.with(title: "t", cover: false)\n'
    for number, body in enumerate(chapters):
        source += f'#question(id: "q{number}", title: [T])\n{body}\n'
    write_files(tmp_path, {"main.typ": source, "words.json": json.dumps(translations.FRAME)})
    warnings = typeset(tmp_path, report=True)[1]
    assert [int(re.match(r"page (\d+) is blank by \d\d%", text)[1]) for text in warnings] == expected


def test_a_figure_does_not_float_to_the_head_of_its_own_page(tmp_path):
    """There it would keep itself from the room that it needs; only the first setting of this page has none."""
    room = "#context if query(<set>).len() == 0 { v(5cm) }"
    figure = '#numbered("a", image, [Caption], block(height: 8cm, fill: gray)[A])'
    head = '#import "kit.typ": *\n#show: report.with(title: "t", cover: false)\n#v(12cm)\nBefore.'
    source = f"{head}\n{room}\n{figure}\n#metadata(none) <set>"
    write_files(tmp_path, {"main.typ": source, "words.json": json.dumps(translations.FRAME)})
    (page,) = page_texts(typeset(tmp_path)[0])
    assert page.index("Before") < page.index("Caption")


def test_places_that_take_turns_are_settled(tmp_path):
    """The room above the figure is there only while the figure does not float to the head of a page."""
    room = "#context if query(<floats>).len() == 0 { v(20cm) }"
    figure = '#numbered("a", image, [Caption], block(height: 8cm, fill: gray)[A])'
    source = f'#import "kit.typ": *\n#show: report.with(title: "t", cover: false)\n{room}\n{figure}\n'
    write_files(tmp_path, {"main.typ": source, "words.json": json.dumps(translations.FRAME)})
    (first, warnings), (again, _) = typeset(tmp_path), typeset(tmp_path)
    assert not warnings and first == again


def test_pages_are_measured_within_their_margins(tmp_path):
    assert f"top: {compile.TOP}cm, bottom: {compile.BOTTOM}cm" in compile.KIT.read_text("utf-8")


# ---- plain notebooks -------------------------------------------------------------------------------------------------


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="  # one grey pixel
PANDAS = "<style>td {}</style><table><thead><tr><th></th><th>a</th></tr></thead><tr><th>0</th><td>1.5</td></tr></table>"
PLAIN = r"""# A *plain* notebook

| x | y |
|---|---|
| 1 | 2 |

\begin{align}a &= b \tag{7}\end{align}
"""


@pytest.fixture
def plain():
    """A notebook as anyone writes it, with the outputs that occur."""
    shown = [
        {"image/png": PNG, "text/plain": "<Figure>"},
        {"text/html": PANDAS, "text/plain": "bare table"},
        {"text/latex": "$\\displaystyle \\int_0^1 x$", "text/plain": "Integral"},
        {"text/plain": "bare text"},
    ]
    streams = [("stdout", "half a "), ("stdout", "line\n"), ("stderr", "10%\r100%|###|")]
    results = [new_output("display_data", data) for data in shown]
    results += [new_output("stream", name=name, text=text) for name, text in streams]
    results += [new_output("error", ename="KeyError", evalue="'k'", traceback=["\x1b[31mKeyError\x1b[0m", "line 3"])]
    pasted = new_markdown_cell("![pasted](attachment:p.png)", attachments={"p.png": {"image/png": PNG}})
    return new_notebook(cells=[new_markdown_cell(PLAIN), pasted, new_code_cell("show()", outputs=results)])


def test_a_plain_notebook_becomes_a_pdf(plain):
    pdf, resources = TypstPDFExporter().from_notebook_node(plain, {"metadata": {"name": "plain"}})
    text = pdf_text(pdf)
    for expected in (
        "A plain notebook",
        "(7)",
        "show()",
        "1.5",
        "half a line",
        "100%|###|",
        "bare text",
        "KeyError: 'k'",
    ):
        assert expected in text, expected
    assert "bare table" not in text and "Integral" not in text and resources["output_extension"] == ".pdf"


def test_without_a_bibliography_a_link_stays_a_link():
    address = "https://arxiv.org/abs/1706.04599"
    made = TypstExporter().from_notebook_node(new_notebook(cells=[new_markdown_cell(f"By [Guo]({address}).")]))[0]
    assert f'#link("{address}")[Guo]' in made


def test_in_a_report_bare_text_is_shown_only_where_asked_for(plain):
    def chapter(code):
        return compose(plain, "x", code=code).parts["chapter"]

    assert "half a line" not in chapter("appendix") and "bare text" not in chapter("none")
    assert "KeyError" in chapter("none") and "show()" not in chapter("appendix")
    assert "half a line" in chapter("inline") and "100%" not in chapter("inline")
    plain.cells[2].metadata["tags"] = ["show-output"]
    assert "half a line" in chapter("appendix") and "100%" in chapter("appendix")


def test_a_character_without_a_glyph_is_reported_by_cell():
    notebook = new_notebook(cells=[new_markdown_cell("fine"), new_markdown_cell("a 🦄", id="unicorn")])
    assert compose(notebook, "x").warnings == ["cell unicorn: no font has U+1F984 🦄"]


def test_nbconvert_knows_the_exporters(plain, tmp_path):
    if "typst-pdf" not in {entry.name for entry in entry_points(group="nbconvert.exporters")}:
        pytest.skip("the package is not installed: pip install -e .")
    nbformat.write(plain, tmp_path / "x.ipynb")
    arguments = ["--to", "typst-pdf", "x.ipynb", "--TypstPDFExporter.lang=zh-TW"]
    subprocess.run([sys.executable, "-m", "nbconvert", *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert "plain" in pdf_text(tmp_path / "x.pdf") and empty_boxes(tmp_path / "x.pdf") == 0


# ---- the editions of this project ------------------------------------------------------------------------------------


EDITIONS = sorted(p.stem for p in (REPOSITORY / "report/editions").glob("*.yaml"))


@pytest.mark.parametrize("name", EDITIONS)
def test_an_edition_fits_its_notebooks(name):
    project = Project(REPOSITORY)
    edition = project.edition(name)
    for kind in (False, True):
        names = [str(question.number) for question in edition.questions if question.bonus == kind]
        numbers = list(dict.fromkeys(int(name.rstrip("ab")) for name in names))  # 2a and 2b share a number
        assert len(set(names)) == len(names) and numbers == list(range(1, 1 + len(numbers)))
    for question in edition.questions:
        known = parameters.defaults(project.read_notebook(question.notebook))
        parameters.chosen(question, known)
        assert question.wording
    if edition.picture:
        assert edition.picture["figure"] in project.notebook(edition.picture["notebook"]).read_text("utf-8")


def test_every_notebook_answers_a_question_of_some_edition():
    project = Project(REPOSITORY)
    asked = {question.notebook for name in EDITIONS for question in project.edition(name).questions}
    assert asked == {path.stem for path in project.notebooks.glob("*.ipynb")}
