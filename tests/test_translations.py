"""Texts with fields, their catalogs, and the notebooks that use them. Nothing is run but a tiny notebook."""

import ast
import json
import pickle
import re
import string
from pathlib import Path

import numpy as np
import pytest
from catalogs import write_catalogs
from fer_report import build, messages, translations
from fer_report.project import Project

from fer_utils import prose, words
from fer_utils.listings import listing_of
from fer_utils.plots.images import plot_images
from fer_utils.plots.style import relabelled, texts_of

KIT = Path(__file__).resolve().parents[1]
PROJECT = Project(KIT)
NOTEBOOKS = [path.stem for path in PROJECT.all_notebooks()]
HAN = re.compile(r"[\u3400-\u9fff]")


def fields(template):
    return {(name, spec) for _, name, spec, _ in string.Formatter().parse(template) if name is not None}


# -- texts with fields -------------------------------------------------------------------------------------------------

GERMAN = {
    "{score:.0%} of {all}, {best} best": "{best} am besten, {score:.0%} von {all}",
    "Happy": "Froh",
    "{a}, {b}": "{a}; {b}",
}


def test_a_text_remembers_what_it_was_made_from():
    best = words.words("{name} ({n})", name=words.words("Happy"), n=3)
    said = words.words("{score:.0%} of {all}, {best} best", score=0.614, all=7, best=best)
    assert said == "61\u00a0% of 7, Happy (3) best"
    german = words.Catalog("de", GERMAN)
    for copy in (said, str(said), pickle.loads(pickle.dumps(said)), json.loads(json.dumps(words.message(said)))):
        assert german.say(copy) == "Froh (3) am besten, 61\u00a0% von 7"
    assert german.say(words.joined([*words.marked("Happy"), "Happy", "2"])) == "Froh; Happy; 2"
    assert words.Catalog().say(said) == said
    assert words.Catalog("zh-TW").say(said) == "61% of 7, Happy (3) best"  # Chinese sets no space before %


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (-0.125, "+.2f", "−0.12"),
        (1234, ",d", "1,234"),
        ("a-b", "", "a-b"),
        (np.float32(-1), ".1f", "−1.0"),
        (-3, "", "−3"),
        (0.25, ".0%", "25\u00a0%"),
        (2.5e-16, ".1e", "2.5×10⁻¹⁶"),
        (1e20, ".0e", "1×10²⁰"),
        ("25%", "", "25%"),
    ],
)
def test_numbers_have_a_true_minus_sign_and_texts_keep_their_hyphens(value, spec, text):
    assert words.number(value, spec) == words.filled(f"{{x:{spec}}}", {"x": value}) == text


def test_an_unknown_field_names_the_template():
    with pytest.raises(
        LookupError, match=r"the text '\{n\} of \{m.x\}'.*\{m.x\} is neither an argument nor a variable"
    ):
        words.words("{n} of {m.x}", n=1)


def test_what_is_missing_or_broken_is_in_english_and_told():
    known = words.Catalog("de", {"{n} faces": "{m} Gesichter"})
    assert known.say(words.words("{n} faces", n=2)) == "2 faces" and known.say(words.words("no face")) == "no face"
    assert known.markdown("# Faces") == "# Faces" and known.say("no face") == "no face"
    assert set(known.missing) == {"{n} faces", "no face", "# Faces"}
    assert sorted(line.split(" (")[0] for line in translations.warnings(known)) == [
        "de: 1 text in English",
        "de: 2 texts in English",
    ]


def test_a_figure_is_relabelled_and_put_back():
    figure = plot_images(np.zeros((2, 48, 48)), [words.words("{name} ({n})", name=words.words("Happy"), n=3), "x"])
    before = texts_of(figure)
    with relabelled(figure, words.Catalog("de", GERMAN).say):
        assert texts_of(figure) == ["Froh (3)", "x"]
    assert texts_of(figure) == before == ["Happy (3)", "x"]


# -- listings ----------------------------------------------------------------------------------------------------------

SOURCE = '''
@decorated
def plain(x):
    """One line."""
    return x  # why


class Thing:
    def method(self):
        """The first line.

        The others.
        """
        return 1
'''


@pytest.mark.parametrize(
    ("name", "listing"),
    [
        ("plain", 'def plain(x):\n    """One line."""\n    return x  # why'),
        ("Thing.method", 'def method(self):\n    """The first line."""\n    return 1'),
    ],
)
def test_a_listing_is_the_source_with_a_short_docstring(tmp_path, name, listing):
    (tmp_path / "x.py").write_text(SOURCE)
    assert listing_of(tmp_path / "x.py", name) == listing
    with pytest.raises(LookupError, match="x.py defines no other"):
        listing_of(tmp_path / "x.py", "other")


def test_a_header_is_translated_unless_its_words_are_a_name(monkeypatch):
    shown = []
    monkeypatch.setattr(prose, "_display", lambda bundle, **fer: shown.append(fer))
    prose.table({"class": [1], words.words("{layer}", layer="dense"): [2]}, "All.", name="tab-a")
    assert shown[0]["header"] == [["class", {}], ["{layer}", {"layer": "dense"}]]


def test_what_is_no_number_is_a_dash_in_a_table(monkeypatch):
    shown = []
    monkeypatch.setattr(prose, "_display", lambda bundle, **fer: shown.append(fer))
    prose.table({"a": [float("nan"), None, 1e-9, 2]}, "All.", name="tab-a", form=".0e")
    assert shown[0]["rows"] == [["–"], ["–"], ["1×10⁻⁹"], ["2"]]


# -- catalogs in step --------------------------------------------------------------------------------------------------

NOTEBOOK = {
    "intro": ("markdown", "# Faces"),
    "code": (
        "code",
        'from fer_utils import prose\nn = 2  # how many\nprose.say("{n} faces.", "Few." if n < 3 else "Many.")\n'
        'prose.table([{"class": "Happy", "n": 1}], "All.", name="tab-a", header=["class", "images"])',
    ),
}


def make_project(root, cells):
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    nodes = [
        {"cell_type": kind, "id": name, "source": source, "metadata": {}} for name, (kind, source) in cells.items()
    ]
    for node in nodes:
        node |= {"outputs": [], "execution_count": None} if node["cell_type"] == "code" else {}
    notebook = {"cells": nodes, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (root / "notebooks/a.ipynb").write_text(json.dumps(notebook))
    return Project(root)


def updated(project):
    lines = []
    complete = messages.update(project, ["de"], lines.append)
    return complete, [line for line in lines if "/a.po" in line]


def translated(project, pairs):
    """Fill in translations in a.po, as a person does."""
    path = project.locale / "de/a.po"
    text = path.read_text("utf-8")
    for english, german in pairs.items():
        text = text.replace(f'msgid "{english}"\nmsgstr ""', f'msgid "{english}"\nmsgstr "{german}"')
    path.write_text(text, "utf-8")


def test_catalogs_follow_the_texts(tmp_path):
    project = make_project(tmp_path, NOTEBOOK)
    assert updated(project) == (False, ["  de/a.po: 7 texts, 7 to translate, 0 to look at again"])
    assert set(words.catalog("de", folder=project.locale)) == {": ", "{} %"}  # nothing to translate in them
    translated(
        project, {"# Faces": "# Gesichter", "{n} faces.": "{n} Gesichter.", "All.": "Alle.", "how many": "wie viele"}
    )
    before = (project.locale / "de/a.po").read_bytes()
    assert updated(project)[1] == ["  de/a.po: 7 texts, 3 to translate, 0 to look at again"]
    assert (project.locale / "de/a.po").read_bytes() == before

    cells = NOTEBOOK | {
        "intro": ("markdown", "# Many faces")
    }  # changed: the old translation is shown to the translator
    project = make_project(tmp_path, cells)
    assert updated(project)[1] == ["  de/a.po: 7 texts, 3 to translate, 1 to look at again"]
    assert 'fuzzy\nmsgid "# Many faces"\nmsgstr "# Gesichter"' in (project.locale / "de/a.po").read_text("utf-8")
    known = words.catalog("de", folder=project.locale)
    assert "# Many faces" not in known and known["{n} faces."] == "{n} Gesichter."


def test_code_in_another_language(tmp_path):
    known = words.Catalog(
        "de", {"{n} faces.": 'Es sind "{n}".', "Few.": "Wenige.", "images": "Bilder", "how many": "wie viele"}
    )
    code = messages.code_in(NOTEBOOK["code"][1], known)
    assert 'n = 2  # wie viele\nprose.say("Es sind \\"{n}\\".", "Wenige." if n < 3 else "Many.")' in code
    assert 'header=["class", "Bilder"]' in code
    ast.parse(code)


# -- a new language ----------------------------------------------------------------------------------------------------

TINY = {
    "title": ("markdown", "# Faces"),
    "code": (
        "code",
        "from matplotlib.figure import Figure\nfrom fer_utils import prose\nn = 2\nopen('../ran', 'a').write('x')\n"
        "figure = Figure()\nfigure.subplots().set_xlabel(prose.words('epoch'))\n"
        "prose.say('{n} faces.')\nprose.figure(figure, 'A curve.', name='fig-a')",
    ),
}


def test_a_further_language_is_a_folder_of_catalogs(tmp_path, monkeypatch):
    """A pseudo-language: every text in brackets. No code knows of it."""
    project = make_project(tmp_path, TINY)
    (tmp_path / "report/editions").mkdir(parents=True)
    (tmp_path / "report/editions/complete.yaml").write_text("{title: Tiny, questions: [{notebook: a}]}")
    assert build.report(project, echo=str) and not list(project.build.glob("*-xx.pdf"))
    texts = {m.text: f"«{m.text}»" for found in messages.all_messages(project).values() for m in found}
    texts |= {"# Faces": "# «Faces»", "epoch": "«epoch»"}
    write_catalogs(project.locale / "xx", {"common": texts})

    project, lines = Project(tmp_path), []
    assert project.languages == ["en", "xx"]
    assert build.report(project, echo=lines.append)
    assert (tmp_path / "ran").read_text() == "xx"  # once more: its figure says something new
    text = pdf_text(project.build / "report-complete-xx.pdf")
    assert {"«Tiny»", "«Faces»", "«2 faces.»", "«A curve.»", "«In short»"} <= set(re.findall(r"«[^»]*»", text))
    assert "In short" not in re.sub(r"«[^»]*»", "", text) and not [line for line in lines if "warning" in line]

    write_catalogs(project.locale / "xx", {"common": texts | {"{n} faces.": "«only {n}»"}})
    assert build.report(Project(tmp_path), echo=str)
    assert "«only 2»" in pdf_text(project.build / "report-complete-xx.pdf") and (tmp_path / "ran").read_text() == "xx"


def pdf_text(path):
    from pypdf import PdfReader

    return " ".join(" ".join(page.extract_text() for page in PdfReader(path).pages).split())


# -- the notebooks of the kit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", [lang for lang in PROJECT.languages if lang != "en"])
def test_translations_are_complete_and_have_the_fields_of_their_texts(lang):
    found = messages.all_messages(PROJECT)
    for name, texts in found.items():
        known = words.catalog(lang, [name], PROJECT.locale)
        assert [m.text for m in texts if not known.get(m.text)] == [], f"make translations, then see {name}.po"
        cells = [c["source"] for c in PROJECT.read_notebook(name)["cells"]] if name in NOTEBOOKS else []
        for text, said in known.items():
            if text not in cells and name != translations.REPORT and "{" in text:
                assert fields(said) <= fields(text), text


@pytest.mark.parametrize("lang", [lang for lang in PROJECT.languages if lang != "en"])
def test_a_text_has_one_translation(lang):
    catalogs = {path.stem: words.catalog(lang, [path.stem], PROJECT.locale) for path in PROJECT.locale.glob("*/*.po")}
    texts = [text for known in catalogs.values() for text in known]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_fields_are_variables_of_the_notebook_or_arguments(name):
    """What a linter says of an f-string, for templates."""
    sources = [c["source"] for c in PROJECT.read_notebook(name)["cells"] if c["cell_type"] == "code"]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    known = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    known |= {node.arg for node in nodes if isinstance(node, ast.keyword | ast.arg) and node.arg}
    known |= {
        key.value for node in nodes if isinstance(node, ast.Dict) for key in node.keys if isinstance(key, ast.Constant)
    }
    for source in sources:
        for node in messages.texts_in(source):
            roots = {re.split(r"[.\[]", field)[0] for field, _ in fields(node.value)}
            assert roots <= known, node.value


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_in_english_and_its_texts_are_no_f_strings(name):
    for cell in PROJECT.read_notebook(name)["cells"]:
        assert not HAN.search(cell["source"]), cell["source"]
        for call in ast.walk(ast.parse(cell["source"])) if cell["cell_type"] == "code" else []:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in messages.TEXTS:
                assert not any(isinstance(argument, ast.JoinedStr) for argument in call.args), ast.unparse(call)


def test_modules_hold_no_other_language():
    for path in (KIT / "fer_utils").rglob("*.py"):
        assert not HAN.search(path.read_text("utf-8")), path
