"""All pages of an edition: contents and one page a question, in every language, linked with each other."""

import json
from collections import Counter
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import LANGUAGES, cells, provenance, texts, weave
from ..execute import write_whole
from ..texts import Text

TEMPLATES = Path(__file__).with_name("templates")
WORDS = json.loads(Path(__file__).parents[1].joinpath("words.json").read_text("utf-8"))
IMAGES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif")
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"]


def write(project, edition, chapters, langs=LANGUAGES, code="appendix"):
    """Writes build/site: index.html (in the first language), the other contents, and a page for every question.

    Args:
        project: the Project.
        edition: the Edition.
        chapters: list of Chapter that have been run, in order.
        langs: of "en" and "zh-TW".
        code: "appendix" folds the code away, "inline" shows it, "none" leaves it out.

    Returns:
        List of warnings: links to nowhere, TeX that is not understood, images that are not there, HTML left out.
    """
    files, warnings = {}, []
    for lang in langs:
        questions = _questions(project, chapters, lang, code)
        site = _site(project, edition, chapters, questions, lang)
        files |= _rendered({**site, "langs": langs, "code": code}, questions)
        warnings += [f"{q['notebook']}: cell {cell}: {message}" for q in questions for cell, message in q["warnings"]]
    folder = project.build / "site"
    for name, text in files.items():
        write_whole(folder / name, text.encode("utf-8", "replace"))
    for path in folder.glob("*.html"):
        if path.name not in files:  # of an edition that was here before
            path.unlink()
    return list(dict.fromkeys(warnings))


def address(name, lang, langs):
    """File name of a page: the first language has the short ones, so that one of them is index.html."""
    return f"{name}.html" if lang == langs[0] else f"{name}.{lang}.html"


def _questions(project, chapters, lang, code):
    """Return what the templates need of every question; figures and tables are numbered through, as in the PDF."""
    counts, questions = Counter(), []
    for chapter in chapters:
        items = _items(weave.merged(chapter, project, lang), lang, code)
        numbers = {item.name: _number(item, counts, WORDS[lang]) for item in cells.numbered(items)}
        found = texts.convert(cells.texts(items), "site", lang, numbers, project.notebooks)
        question, notebook = chapter.question, chapter.task.notebook
        failure = chapter.task.receipt(project)["failure"]
        questions.append(
            {
                "items": items,
                "numbers": numbers,
                "title": found.title or Text("", "", shown=notebook, plain=notebook),
                "sections": found.sections,
                "warnings": found.warnings,
                "name": f"{question.id}-{notebook}",
                "notebook": notebook,
                "eyebrow": _eyebrow(question, WORDS[lang]),
                "part": question.part.get(lang),
                "failure": weave.failure_line(failure) if failure else None,
            }
        )
    return questions


def _items(notebook, lang, code):
    """Return what a page shows of a notebook; cells that show nothing between them are read as one piece of code."""
    view = cells.View(lang, IMAGES, printed=code == "inline")
    found = [item for cell in cells.shown(notebook, lang) for item in cells.items(cell, view)]
    joined = []
    for is_code, neighbours in groupby(found, key=lambda item: isinstance(item, cells.Code)):
        if not is_code:
            joined += neighbours
        elif code != "none":
            joined.append(cells.Code("\n".join(item.source.rstrip("\n") for item in neighbours)))
    return joined


def _number(item, counts, words):
    """Return the next number of a figure or table in words: "Figure 3"."""
    kind = "figure" if isinstance(item, cells.Figure) else "table"
    counts[kind] += 1
    return f"{words[kind]} {counts[kind]}"


def _eyebrow(question, words):
    """The line above a title: "Question 3 · 1 %"."""
    number = words["bonus" if question.bonus else "question"].format(question.number)
    return number if question.points is None else f"{number} · {words['points'].format(question.points)}"


def _site(project, edition, chapters, questions, lang):
    """What is the same on every page of a language."""
    receipts = [chapter.task.receipt(project) for chapter in chapters]
    return {
        "lang": lang,
        "title": edition.title[lang],
        "edition": edition.edition[lang],
        "course": edition.course[lang],
        "author": project.author(),
        "data": project.data_line(),
        "computed": max(receipt["finished"] for receipt in receipts)[:10],
        "systems": provenance.systems(provenance.trainings(receipts)),
        "picture": _cover_picture(edition.picture, questions, lang),
    }


def _cover_picture(wanted, questions, lang):
    """A figure of one of the questions, for the contents: dict of its address and caption; None without one."""
    for question in questions:
        for item in question["items"]:
            if wanted and (question["notebook"], getattr(item, "name", None)) == (wanted["notebook"], wanted["figure"]):
                return {"address": item.image.uri, "caption": wanted["caption"][lang]}


def _rendered(site, questions):
    """Dict from file name to HTML: the pages of one language."""
    loader, lang, langs = FileSystemLoader(TEMPLATES), site["lang"], site["langs"]
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"kind": lambda item: type(item).__name__, "highlighted": _highlighted}
    templates.globals |= {"site": site, "lang": lang, "words": WORDS[lang], "all_words": WORDS}
    templates.globals["address"] = lambda name, lang=lang: address(name, lang, langs)
    contents = templates.get_template("contents.html.j2").render(name="index", parts=_by_part(questions))
    files = {address("index", lang, langs): contents}
    neighbours = zip([None, *questions[:-1]], questions, [*questions[1:], None], strict=True)
    for previous, question, following in neighbours:
        context = {"name": question["name"], "question": question, "previous": previous, "next": following}
        text = templates.get_template("question.html.j2").render(context)
        files[address(question["name"], lang, langs)] = text
    return files


def _by_part(questions):
    """The questions as the contents group them: list of dicts of number, title (or None) and questions."""
    parts = []
    for question in questions:
        if question["part"] or not parts:
            parts.append({"number": ROMAN[len(parts)], "title": question["part"], "questions": []})
        parts[-1]["questions"].append(question)
    return parts


@cache  # the same in every language
def _highlighted(source):
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return Markup(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))
