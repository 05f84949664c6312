"""Weaves today's text of the notebooks around the stored outputs, in one language: a folder of Typst files, then a PDF.

An edit of a text therefore never runs any code, and all languages come from one execution.
"""

import importlib.metadata
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from . import cells, translations
from .execute import Task, quicken_imports
from .keys import canonical, sha
from .project import Question, UserError
from .typst.literal import literal

HERE = Path(__file__).parent
REFERENCES, COVER = "references.yml", "cover.typ"  # files beside main.typ: the bibliography, the cover's figure
KIT = '#import "kit.typ": *\n'  # at the head of every file
TOOLS = ("typst", "pypandoc-binary", "pylopdf-fonts-zh-tw", "matplotlib")  # what shapes a page


@dataclass(frozen=True)
class Chapter:
    """A question of a report with the task that computes it.

    Attributes:
        postponed: what would have to be trained for the profile that was asked for, where `task` is a quick one that
            stands in for it (`execute.Task.postponed`); else None.
    """

    question: Question
    task: Task
    postponed: dict | None = field(default=None, hash=False)


def key(chapter, project, lang, code):
    """Hash of everything that a chapter's Typst is made from."""
    notebook = project.notebook(chapter.task.notebook).read_bytes()
    receipt = canonical(chapter.task.receipt(project))
    question, works = canonical(asdict(chapter.question)), canonical(project.works)
    texts = canonical(translations.catalog(project, lang, chapter.task.notebook))
    listings = [translations.listing([place], project) for place in chapter.task.receipt(project)["listed"]]
    made_from = (
        notebook,
        receipt,
        question,
        works,
        texts,
        canonical(listings),
        canonical(chapter.postponed),
    )
    return sha(toolchain(), *made_from, lang, code)


@cache
def toolchain():
    """Hash of the files of this package and of the versions of the tools that it calls."""
    sources = [p for p in sorted(HERE.rglob("*")) if p.suffix in (".py", ".lua", ".typ", ".j2", ".json")]
    versions = [importlib.metadata.version(tool) for tool in TOOLS]
    return sha(*versions, *(p.read_bytes() for p in sources))


def weave(chapter, project, lang, code, folder, apart=False):
    """Writes a chapter's Typst files into a folder, if they are not there from an earlier time.

    Args:
        chapter: the Chapter.
        project: the Project.
        lang: "en", "zh-TW", …
        code: "appendix", "inline" or "none".
        folder: Path of the PDF's Typst files.
        apart: whether further sections and listings come behind all chapters (`typst.source`).

    Returns:
        List of warnings: missing translations and glyphs, links to nowhere, TeX that is not understood, images that
        are not there.
    """
    from .typst.compile import write_files

    record, name = folder / f"{chapter.question.id}.json", chapter.question.id
    wanted = key(chapter, project, lang, code) + apart * "+"
    if record.is_file() and (known := json.loads(record.read_text("utf-8")))["key"] == wanted:
        return known["warnings"]
    texts = translations.catalog(project, lang, chapter.task.notebook)
    made, before = _convert(chapter, project, texts, code, apart)
    settings = {"number": chapter.question.number, "bonus": chapter.question.bonus}
    heading = {"id": name, **settings, "points": chapter.question.points}
    heading["part"] = texts.markdown(chapter.question.part) or None
    files = {
        answer_file(chapter): answer_source(chapter, project, made.answer),
        f"{name}.typ": f"{KIT}#question(..{literal(heading)}, title: [{made.title}])\n{before}{made.parts['chapter']}",
    }
    files |= {file: KIT + made.parts[place] for place, file in behind_files(chapter).items()}
    write_files(folder, {**files, **made.media})
    complaints = [*translations.warnings(texts), *made.warnings]
    warnings = [f"{chapter.task.notebook}: {complaint}" for complaint in complaints]
    write_files(folder, {record.name: json.dumps({"key": wanted, "warnings": warnings}, ensure_ascii=False)})
    return warnings


def behind_files(chapter):
    """Return the names of the files with what is printed behind all chapters: dict of `further` and `listings`."""
    return {place: f"{chapter.question.id}-{place}.typ" for place in ("further", "listings")}


def answer_file(chapter):
    """Return the name of the file with a chapter's answer in short."""
    return f"{chapter.question.id}-answer.typ"


def answer_source(chapter, project, answer):
    """Return the Typst source of what the table of answers says of a question; `answer` is (cell, Typst) or None."""
    failure = chapter.task.receipt(project)["failure"]
    said = "#unanswered" if failure else "//@ cell {}\n{}".format(*answer) if answer else "–"
    return f"{KIT}{said}{' #in-quick' if chapter.postponed else ''}\n"


def _convert(chapter, project, texts, code, apart):
    """Return a chapter's `typst.source.Source`, and what stands in front of it."""
    quicken_imports()
    from .typst.source import compose

    asked, receipt = chapter.question, chapter.task.receipt(project)
    settings = {"lang": texts.lang, "code": code, "apart": apart, "prefix": f"{asked.id}-", "works": project.works}
    made = compose(merged(chapter, project, texts), chapter.task.notebook, project.notebooks, **settings)
    before = ""
    if asked.number is None and chapter.task.parameters:  # a question by itself says what it was run with
        before += f"#parameters({literal({k: repr(v) for k, v in chapter.task.parameters.items()})})\n"
    if receipt["failure"]:
        before += f"#failed({literal(failure_line(receipt['failure']))})\n"
    return made, before


def lacks_observation(chapter, project):
    """Return whether the author has not yet written what they see, where a notebook has a cell for it."""
    asked = [cell for cell in project.read_notebook(chapter.task.notebook)["cells"] if cells.is_observation(cell)]
    return any(not cells.observed(cell) for cell in asked)


def failure_line(failure):
    """Which cell failed and why, in one line."""
    where = f"code cell {failure['cell']}, {failure['line']}: " if failure["cell"] else ""
    return where + failure["message"]


def merged(chapter, project, texts):
    """Today's notebook with the outputs of the stored one and the edition's wording, in the language of a Catalog.

    Code cells are matched by position: the key says that the code of both is the same.
    """
    from nbformat.v4 import reads  # without the validation of nbformat.read, which takes longer than all the rest

    notebook = reads(project.notebook(chapter.task.notebook).read_text("utf-8"))
    stored = reads(chapter.task.stored(project).read_text("utf-8"))
    code = [c for c in stored.cells if c.cell_type == "code" and not _has_tag(c, "injected-parameters")]
    for cell, ran in zip((c for c in notebook.cells if c.cell_type == "code"), code, strict=True):
        cell.outputs = ran.outputs
    if chapter.question.wording:
        notebook.cells = [c for c in notebook.cells if not _has_tag(c, "question")]
        _insert(notebook, _after_title(notebook), "markdown", "question", chapter.question.wording, ["question"])
    _refresh_listings(notebook, project)
    translations.translate(notebook, texts)
    for number, note in enumerate(notes(chapter, project, texts)):
        position = _after_title(notebook) + bool(chapter.question.wording)
        _insert(notebook, position, "markdown", f"note-{number}", note, ["note"])
    if chapter.task.parameters:
        given = "".join(f"\n{name} = {value!r}" for name, value in chapter.task.parameters.items())
        position = next(i for i, c in enumerate(notebook.cells) if _has_tag(c, "parameters")) + 1
        _insert(notebook, position, "code", "given-parameters", "# given for this report" + given)
    return notebook


def notes(chapter, project, texts):
    """Return what a chapter says of trainings that were not made here, and of those that were put off."""
    places = defaultdict(list)
    for record in chapter.task.receipt(project)["cited"]:
        if record["recorded"]:
            places[f"{record['processor']}, {record['finished'][:10]}"].append(name_of(record))
    if places:
        listed = [f"{', '.join(dict.fromkeys(names))} ({place})" for place, names in places.items()]
        yield translations.say(texts, "recorded_note", trainings="; ".join(listed))
    if chapter.postponed:
        time = duration(chapter.postponed["seconds"])
        yield translations.say(
            texts, "postponed_note", n=len(chapter.postponed["missing"]), time=time, notebook=chapter.task.notebook
        )


def name_of(record):
    """Return what a training is called: preset, profile and seed."""
    return " · ".join(str(record["settings"][part]) for part in ("preset", "profile", "seed"))


def duration(seconds):
    """Return a time as h:mm."""
    minutes = max(round(seconds / 60), 1)
    return f"{minutes // 60}:{minutes % 60:02} h"


def _refresh_listings(notebook, project):
    """Put today's source into listings: the key says that its code is the same, not that its comments are."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        fer = output.get("metadata", {}).get("fer", {})
        if "places" in fer:
            fer["source"] = translations.listing(fer["places"], project) or fer["source"]


def _insert(notebook, position, kind, cell_id, source, tags=()):
    from nbformat.v4 import new_code_cell, new_markdown_cell

    new_cell = {"code": new_code_cell, "markdown": new_markdown_cell}[kind]
    notebook.cells.insert(position, new_cell(source, id=cell_id, metadata={"tags": list(tags)}))


def _has_tag(cell, tag):
    return tag in cell.metadata.get("tags", [])


def _after_title(notebook):
    """Position behind the title."""
    titles = [i for i, c in enumerate(notebook.cells) if c.cell_type == "markdown" and c.source.startswith("# ")]
    return titles[-1] + 1 if titles else 0


def main_file(settings, chapters, folder, code, picture, cites, origin):
    """The Typst source that holds the chapters together.

    Args:
        settings: dict of what kit.typ's `report` takes.
        chapters: list of Chapter, whose files are in the folder.
        folder: Path of the PDF's Typst files.
        code: "appendix" adds the listings, and where all other code is.
        picture: whether there is one for the cover.
        cites: whether a chapter cites a work, so that references come at the end.
        origin: what kit.typ's `origin` takes, or None for no page of settings and provenance.
    """
    parts = [f"..{literal(settings)}", *([f'picture: include "{COVER}"'] if picture else [])]
    if settings["cover"]:
        parts.append(f"answers: ({' '.join(map(_answer, chapters))})")
    lines = [KIT.rstrip(), f"#show: report.with({', '.join(parts)})"]
    lines += [f'#include "{chapter.question.id}.typ"' for chapter in chapters]
    if cites:
        lines.append(f"#references({literal(REFERENCES)}, chapter: {literal(settings['cover'])})")
    if further := [chapter for chapter in chapters if _has_cells(folder / behind_files(chapter)["further"])]:
        lines.append(f"#further-results({_included(further, 'further')})")
    if origin:
        lines.append(f"#origin(..{literal(origin)})")
    if code == "appendix" and settings["cover"]:
        files = [(chapter.question.id, f"notebooks/{chapter.task.notebook}.ipynb") for chapter in chapters]
        listed = [chapter for chapter in chapters if _has_cells(folder / behind_files(chapter)["listings"])]
        lines.append(f"#code-appendix({', '.join(map(literal, files))}, listings: ({_included(listed, 'listings')}))")
    return "\n".join(lines) + "\n"


def _has_cells(file):
    return "\n//@ cell " in file.read_text("utf-8")


def _included(chapters, place):
    """Return pairs of id and content in Typst, with a comma behind each."""
    pairs = [(literal(chapter.question.id), literal(behind_files(chapter)[place])) for chapter in chapters]
    return " ".join(f"({name}, include {file})," for name, file in pairs)


def _answer(chapter):
    """Return a row of the table of answers: a dict in Typst, and the comma behind it."""
    asked = chapter.question
    row = literal({"id": asked.id, "number": asked.number, "points": asked.points, "bonus": asked.bonus})
    return f'(..{row}, said: include "{answer_file(chapter)}"),'


def write_references(project, chapters, folder):
    """Puts the bibliography beside the chapters, if one of them cites a work; returns whether one does."""
    from .typst.compile import write_files

    files = [folder / f"{chapter.question.id}.typ" for chapter in chapters]
    cites = any("#work(" in file.read_text("utf-8") for file in files)
    if cites:
        write_files(folder, {REFERENCES: project.references.read_bytes()})
    return cites


def write_picture(project, wanted, chapters, lang, folder):
    """Puts a chapter's figure among the report's files, for the cover.

    Args:
        project: the Project.
        wanted: `Edition.picture`.
        chapters: list of Chapter.
        lang: "en", "zh-TW", …
        folder: Path of the PDF's Typst files.

    Returns:
        Whether there is one: none may be wanted, or it could not be computed.
    """
    from .typst.compile import write_files
    from .typst.outputs import stored

    figure = next(filter(None, (_figure(chapter, project, wanted, lang) for chapter in chapters)), None)
    if figure is None or figure.image is None:
        return False
    media = {}
    caption = translations.catalog(project, lang).markdown(wanted["caption"])
    place = literal([stored(figure.image, media), caption])
    source = f"{KIT}//@ cell {wanted['figure']}\n#cover-picture(..{place})\n"
    write_files(folder, {**media, COVER: source})
    return True


def _figure(chapter, project, wanted, lang):
    """Return the figure that is wanted for the cover, if it is one of this chapter."""
    from .typst.outputs import SUFFIXES

    if wanted and chapter.task.notebook == wanted["notebook"]:
        notebook = merged(chapter, project, translations.catalog(project, lang, chapter.task.notebook))
        items = [item for cell in cells.shown(notebook) for item in cells.items(cell, cells.View(tuple(SUFFIXES)))]
        return next((item for item in cells.numbered(items) if item.name == wanted["figure"]), None)


def typeset_report(folder, chapters):
    """Compiles main.typ; a cell that Typst refuses is replaced by a note, so that the rest is printed all the same.

    Returns:
        The PDF as bytes, a list of warnings and a list of problems.
    """
    from .typst.compile import TypesettingError, refused_cells, replace_cell, typeset

    problems = []
    while True:
        try:
            pdf, warnings = typeset(folder, report=True)
            return pdf, [f"typst: {warning}" for warning in warnings], problems
        except TypesettingError as error:
            message = str(error)
        files = {f"{chapter.question.id}.typ": chapter.task.notebook for chapter in chapters}
        files |= {answer_file(chapter): chapter.task.notebook for chapter in chapters}
        files |= {file: chapter.task.notebook for chapter in chapters for file in behind_files(chapter).values()}
        if (folder / COVER).is_file():
            files[COVER] = "cover"
        refused = [(file, cell) for file in files for cell in refused_cells(folder, file, message)]
        if not refused:
            raise UserError(f"Typst refuses {folder / 'main.typ'}: {message}")
        for file, cell in refused:
            problems.append(f"{files[file]}: cell {cell} cannot be typeset: {message}")
            replace_cell(folder, file, cell, message)
            woven = folder / f"{file.removesuffix('.typ').partition('-')[0]}.json"
            woven.unlink(missing_ok=True)  # so that it is woven anew the next time
