"""All pages of an edition: contents and one page a question, in every language, linked with each other."""

from collections import Counter
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import cells, provenance, texts, translations, weave
from ..execute import write_whole
from ..texts import Text

TEMPLATES = Path(__file__).with_name("templates")
IMAGES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif")
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"]


def write(project, edition, chapters, langs, code="appendix"):
    """Writes build/site: index.html (in the first language), the other contents, and a page for every question.

    Args:
        project: the Project.
        edition: the Edition.
        chapters: list of Chapter that have been run, in order.
        langs: list of languages.
        code: "appendix" folds the code away, "inline" shows it, "none" leaves it out.

    Returns:
        List of warnings: links to nowhere, TeX that is not understood, images that are not there, HTML left out.
    """
    files, warnings = {}, []
    catalogs = {lang: translations.catalog(project, lang) for lang in langs}
    frames = {lang: translations.frame(known) for lang, known in catalogs.items()}
    for lang, known in catalogs.items():
        questions = _questions(project, chapters, lang, code, frames[lang])
        site = _site(project, edition, chapters, questions, known)
        files |= _rendered({**site, "langs": langs, "code": code}, questions, frames)
        warnings += translations.warnings(known)
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


def _questions(project, chapters, lang, code, words):
    """Return what the templates need of every question; figures and tables are numbered through, as in the PDF."""
    counts, questions = Counter(), []
    for chapter in chapters:
        known = translations.catalog(project, lang, chapter.task.notebook)
        items = _items(weave.merged(chapter, project, known), code)
        numbers = {item.name: _number(item, counts, words) for item in cells.numbered(items)}
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
                "untranslated": translations.warnings(known),
                "name": f"{question.id}-{notebook}",
                "notebook": notebook,
                "eyebrow": _eyebrow(question, words),
                "part": known.markdown(question.part),
                "failure": weave.failure_line(failure) if failure else None,
                "in_quick": bool(chapter.postponed),
                "answer": next((item.answer.plain for item in items if isinstance(item, cells.Short)), None),
            }
        )
    return questions


def _items(notebook, code):
    """Return what a page shows of a notebook; cells that show nothing between them are read as one piece of code."""
    view = cells.View(IMAGES, printed=code == "inline")
    found = [item for cell in cells.shown(notebook) for item in cells.items(cell, view)]
    joined = []
    for is_code, neighbours in groupby(found, key=lambda item: isinstance(item, cells.Code) and not item.lesson):
        if not is_code:
            joined += neighbours
        elif code != "none":
            joined.append(cells.Code("\n".join(item.source.rstrip("\n") for item in neighbours)))
    return joined


def _number(item, counts, words):
    """Return the next number of a figure, table or listing in words: "Figure 3"."""
    kind = type(item).__name__.lower()
    counts[kind] += 1
    return f"{words[kind]} {counts[kind]}"


def _eyebrow(question, words):
    """The line above a title: "Question 3 · 1 %"."""
    number = words["bonus" if question.bonus else "question"].format(question.number)
    return number if question.points is None else f"{number} · {words['points'].format(question.points)}"


def _site(project, edition, chapters, questions, known):
    """What is the same on every page of a language."""
    receipts = [chapter.task.receipt(project) for chapter in chapters]
    return {
        "lang": known.lang,
        "title": known.markdown(edition.title),
        "edition": known.markdown(edition.edition),
        "course": known.markdown(edition.course),
        "author": project.author(),
        "collaborators": project.collaborators(),
        "data": project.data_line(known),
        "computed": max(receipt["finished"] for receipt in receipts)[:10],
        "systems": provenance.systems(provenance.trainings(receipts)),
        "picture": _cover_picture(edition.picture, questions, known),
    }


def _cover_picture(wanted, questions, known):
    """A figure of one of the questions, for the contents: dict of its address and caption; None without one."""
    for question in questions:
        for item in question["items"]:
            if wanted and (question["notebook"], getattr(item, "name", None)) == (wanted["notebook"], wanted["figure"]):
                return {"address": item.image.uri, "caption": known.markdown(wanted["caption"])}


def _rendered(site, questions, frames):
    """Dict from file name to HTML: the pages of one language."""
    loader, lang, langs = FileSystemLoader(TEMPLATES), site["lang"], site["langs"]
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"kind": lambda item: type(item).__name__, "highlighted": _highlighted}
    templates.globals |= {"site": site, "lang": lang, "words": frames[lang], "all_words": frames}
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
