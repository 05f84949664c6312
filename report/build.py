"""The whole way, once: read -> key -> run what has no outputs yet -> weave and typeset what has changed."""

import hashlib
import json
import os
from pathlib import Path

from . import execute, keys, parameters, weave
from .execute import Task, write_whole
from .keys import canonical, sha
from .project import LANGUAGES, Project, Question, UserError
from .weave import Chapter


def report(project, edition="complete", langs=LANGUAGES, profile=None, jobs=1, code="appendix", timeout=None, echo=print):
    """Makes build/report-<edition>-<lang>.pdf.

    Args:
        project: the Project.
        edition: name of a file in report/editions.
        langs: languages, of "en" and "zh-TW".
        profile: value for the parameter `profile` of the notebooks that have one, unless the edition sets it.
        jobs: how many questions run at once.
        code: "appendix", "inline" or "none".
        timeout: seconds that a cell may take; None for ever.
        echo: called with lines of progress.

    Returns:
        True if every question was answered and typeset.

    Raises:
        UserError: for what the user can put right.
    """
    chosen = project.edition(edition)
    chapters = [_chapter(project, question, profile, {}, chosen.new_page) for question in chosen.questions]
    name = f"report-{edition}"
    cover = {"edition": chosen.edition, "course": chosen.course}
    return _make(project, name, chapters, chosen.title, cover, langs, jobs, code, timeout, echo)


def question(project, notebook, given="", edition="complete", langs=LANGUAGES, profile=None, jobs=1, code="appendix",
             timeout=None, echo=print):  # fmt: skip
    """Makes build/question-<notebook>-<lang>.pdf: one question by itself, with parameters like "preset=E passes=3".

    Its title and wording are those of the edition, if the notebook is used there. The rest as for `report`.
    """
    notebook = Path(notebook).stem if str(notebook).endswith(".ipynb") else notebook
    project.notebook(notebook)
    chosen = project.edition(edition)
    same = next((q for q in chosen.questions if q.notebook == notebook), None)
    alone = Question(
        id="q1",
        notebook=notebook,
        parameters=same.parameters if same else {},
        wording=same.wording if same else {},
    )
    values = parameters.from_text(given, parameters.defaults(project.read_notebook(notebook)))
    chapter = _chapter(project, alone, profile, values, new_page=False)
    return _make(project, f"question-{notebook}", [chapter], chosen.title, None, langs, jobs, code, timeout, echo)


def _chapter(project, asked, profile, given, new_page):
    """A question with the task that computes it: parameters checked, key made."""
    notebook = project.read_notebook(asked.notebook)
    defaults = parameters.defaults(notebook)
    profiled = {"profile": profile} if profile is not None and "profile" in defaults else {}
    values = parameters.checked({**profiled, **asked.parameters, **given}, defaults, asked.notebook)
    parts = keys.ingredients(notebook, {**defaults, **values}, project.root, project.data_fingerprint())
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    return Chapter(asked, Task(asked.notebook, changed, sha(canonical(parts)), parts), new_page)


def _make(project, name, chapters, title, cover, langs, jobs, code, timeout, echo):
    execute.run([chapter.task for chapter in chapters], project, jobs, timeout, echo)
    good = True
    for lang in langs:
        good &= _make_pdf(project, f"{name}-{lang}", chapters, title, cover, lang, code, echo)
    for chapter in chapters:
        failure = chapter.task.receipt(project)["failure"]
        if failure:
            good = False
            echo(f"FAILED {chapter.task.notebook}: {weave.failure_line(failure).replace(chr(10), ': ')}")
    return good


def _make_pdf(project, name, chapters, title, cover, lang, code, echo):
    """Weaves and typesets one PDF, unless it is there already, made from the same. Returns whether all went well."""
    folder, pdf = project.build / "typst" / name, project.build / f"{name}.pdf"
    author = project.author()
    chapter_keys = [weave.key(chapter, project, lang, code) for chapter in chapters]
    data = chapters[0].task.ingredients["data"]
    wanted = sha(canonical([chapter_keys, title, cover, author, data, os.environ.get("FER_FONTS", "")]))
    stamp = folder / "stamp.json"
    if stamp.is_file() and pdf.is_file():
        known = json.loads(stamp.read_text("utf-8"))
        if (known["key"], known["pdf"]) == (wanted, hashlib.sha256(pdf.read_bytes()).hexdigest()):
            _tell(known["warnings"], [], f"{_shown(pdf)}  unchanged", echo)
            return True
    stamp.unlink(missing_ok=True)
    warnings = [w for chapter in chapters for w in weave.weave(chapter, project, lang, code, folder)]
    settings = {
        "title": title[lang],
        "lang": lang,
        "author": author,
        "cover": cover is not None,
        "data": project.data_line(),
        "computed": max(chapter.task.receipt(project)["finished"] for chapter in chapters)[:10],
    }
    settings |= {key: texts[lang] for key, texts in (cover or {}).items()}
    write_whole(folder / "main.typ", weave.main_file(settings, chapters, code).encode())
    content, typst_warnings, problems = weave.typeset_report(folder, chapters)
    write_whole(pdf, content)
    warnings += typst_warnings
    if not problems:
        record = {"key": wanted, "pdf": hashlib.sha256(content).hexdigest(), "warnings": warnings}
        write_whole(stamp, json.dumps(record, ensure_ascii=False).encode())
    _tell(warnings, problems, f"{_shown(pdf)}  written", echo)
    return not problems


def _tell(warnings, problems, line, echo):
    for warning in warnings:
        echo(f"  warning: {warning}")
    for problem in problems:
        echo(f"FAILED {problem}")
    echo(line)


def _shown(path):
    """A path as the reader would type it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
