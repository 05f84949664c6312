"""The whole way, once: read -> key -> run what has no outputs yet -> weave and typeset what has changed."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from . import execute, keys, networks, parameters, provenance, translations, weave
from .execute import Task, tell, write_whole
from .keys import canonical, sha
from .project import Question, UserError
from .typst import fonts
from .weave import Chapter


def report(project, edition="complete", profile=None, given="", **how):
    """Makes build/report-<edition>-<lang>.pdf.

    Args:
        project: the Project.
        edition: name of a file in report/editions.
        profile: value for the parameter `profile` of the notebooks that have one, unless the edition sets it.
        given: settings such as "preset=E", for the notebooks that have these parameters (`parameters.chosen`).
        how: langs, jobs, code, timeout and echo, as for `make`.

    Returns:
        True if every question was answered and typeset.

    Raises:
        UserError: for what the user can put right.
    """
    chosen, chapters = answered(project, edition, profile, given, **how)
    return make(project, f"report-{edition}", chapters, chosen, cover=True, **how)


def site(project, edition="complete", profile=None, given="", langs=None, code="appendix", echo=tell, **how):
    """Makes build/site: index.html and a page for every question, from the same outputs as the report's."""
    chosen, chapters = answered(project, edition, profile, given, echo=echo, **how)
    execute.quicken_imports()
    from .site import pages

    for warning in pages.write(project, chosen, chapters, languages(project, langs), code):
        echo(f"  warning: {warning}")
    echo(f"{_as_typed(project.build / 'site' / 'index.html')}  written")
    return not _tell_problems(project, chapters, [], echo)


def answered(project, edition, profile=None, given="", **how):
    """Runs what has no outputs yet; returns the Edition and its Chapters in order."""
    chosen = parameters.with_given(project.edition(edition), project, given)
    data = project.data_fingerprint()
    chapters, ran = {}, []
    kernels = execute.Kernels(project, how.get("jobs", 1))
    for late in (False, True):  # a notebook that lists all trainings comes after those that train
        for question in chosen.questions:
            if keys.lists_runs(project.read_notebook(question.notebook)) == late:
                chapters[question.id] = chapter(project, question, data, profile)
        new = {name: made for name, made in chapters.items() if made.task not in ran}
        chapters |= answer(project, new, data, kernels, **how)
        ran += [made.task for made in chapters.values()]
    return chosen, [chapters[question.id] for question in chosen.questions]


def answer(project, chapters, data, kernels, **how):
    """Runs what has no outputs yet. What would take long trainings, and was not asked for with TRAIN=1, is answered by
    the quick profile instead, and says so.

    Args:
        chapters: dict from any name to Chapter.

    Returns:
        The same dict with those Chapters that stand in for another.
    """
    run([made.task for made in chapters.values()], project, kernels, **how)
    short = {
        name: chapter(project, replace(made.question, parameters=made.question.parameters | {"profile": "quick"}), data)
        for name, made in chapters.items()
        if made.task.postponed(project)
    }
    run([made.task for made in short.values()], project, kernels, **how)
    return chapters | {
        name: replace(made, postponed=chapters[name].task.postponed(project)) for name, made in short.items()
    }


def run(tasks, project, kernels, jobs=1, timeout=None, echo=tell, **_):
    """Runs what has no outputs yet (`execute.run`)."""
    if tasks:
        networks.check([task for task in tasks if not task.is_done(project)], project)
        execute.run(tasks, project, kernels, jobs, timeout, echo)


def question(project, notebook, given="", edition="complete", profile=None, **how):
    """Makes build/question-<notebook>-<lang>.pdf: one question by itself, with parameters like "preset=E epochs=3".

    Title, wording and parameters that are not given are those of the edition, if it asks this question. The rest is
    as for `report`.
    """
    chosen = project.edition(edition)
    asked = next((q for q in chosen.questions if q.notebook == notebook), Question("q1", notebook))
    alone = Question("q1", notebook, parameters=asked.parameters, wording=asked.wording)
    data = project.data_fingerprint()
    only = {"q1": chapter(project, alone, data, profile, given)}
    only = answer(project, only, data, execute.Kernels(project), **how)
    return make(project, f"question-{notebook}", list(only.values()), chosen, cover=False, **how)


def chapter(project, question, data, profile=None, given=""):
    """A question with the task that answers it: its parameters checked, its key made."""
    notebook = project.read_notebook(question.notebook)
    defaults = parameters.defaults(notebook)
    values = parameters.chosen(question, defaults, profile, given)
    ingredients = keys.ingredients(notebook, {**defaults, **values}, project.root, data, project.votes())
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    return Chapter(question, Task(question.notebook, changed, sha(canonical(ingredients)), ingredients))


def make(project, name, chapters, edition, cover, langs=None, code="appendix", echo=tell, **_):
    """Weaves and typesets chapters that have been run: build/<name>-<lang>.pdf for every language.

    Args:
        project: the Project.
        name: of the PDF.
        chapters: list of Chapter.
        edition: the Edition.
        cover: whether a cover and a table of contents come first, and a page of settings and provenance at the end.
        langs: list of languages; None for all that notebooks/locale has.
        code: "appendix", "inline" or "none".
        echo: called with lines of progress.

    Returns:
        True if every question was answered and typeset.
    """
    with ThreadPoolExecutor() as pool:  # pandoc and Typst work outside of Python: the languages share the cores
        made = [
            pool.submit(_pdf, project, name, chapters, edition, cover, lang, code, echo)
            for lang in languages(project, langs)
        ]
    problems = [problem for of_language in made for problem in of_language.result()]
    if empty := [chapter.task.notebook for chapter in chapters if weave.lacks_observation(chapter, project)]:
        echo(f"  no observation of your own yet (cell `Your observation`): {', '.join(empty)}")
    return not _tell_problems(project, chapters, problems, echo)


def languages(project, wanted=None):
    """Return the languages that are wanted, by default all that there are; raises UserError for an unknown one."""
    if unknown := sorted(set(wanted or []) - set(project.languages)):
        known = ", ".join(project.languages)
        raise UserError(f"no translations into {', '.join(unknown)} in {project.locale}; there are: {known}")
    return wanted or project.languages


def _tell_problems(project, chapters, problems, echo):
    """Echoes the problems, with those of questions that failed; returns them."""
    for task in dict.fromkeys(chapter.task for chapter in chapters):
        if failure := task.receipt(project)["failure"]:
            problems.append(f"{task.notebook}: {weave.failure_line(failure)}")
    for problem in dict.fromkeys(problems):
        echo(f"FAILED {problem}")
    return problems


def _pdf(project, name, chapters, edition, cover, lang, code, echo):
    """Weaves and typesets one PDF, unless it is there already and made from the same. Returns a list of problems."""
    pdf, folder = project.build / f"{name}-{lang}.pdf", project.build / "typst" / f"{name}-{lang}"
    author, data = [project.author(), project.collaborators()], chapters[0].task.ingredients["data"]
    made_from = [weave.key(chapter, project, lang, code) for chapter in chapters]
    known = translations.catalog(project, lang)
    frame, texts = translations.frame(known), {"title": known.markdown(edition.title)}
    if cover:
        texts |= {"edition": known.markdown(edition.edition), "course": known.markdown(edition.course)}
    fonts_wanted = os.environ.get("FER_FONTS", "")
    of_data = keys.reached_modules(["from fer_utils.studies import leaks"], project.root)  # Project.data_line
    key = sha(canonical([made_from, frame, texts, edition.picture, cover, author, data, of_data, fonts_wanted]))
    stamp = folder / "stamp.json"
    warnings, problems, state = _warnings_of_same(stamp, pdf, key), [], "unchanged"
    if warnings is None:
        stamp.unlink(missing_ok=True)
        warnings = [
            warning for chapter in chapters for warning in weave.weave(chapter, project, lang, code, folder, cover)
        ]
        settings = {**texts, "lang": lang, "author": author[0], "cover": cover, "data": project.data_line(known)}
        settings |= {"collaborators": author[1]} if cover else {}
        main = _main(project, chapters, edition, settings, code, known, folder)
        warnings += [f"cover: {complaint}" for complaint in [*translations.warnings(known), *fonts.complaints(main)]]
        write_whole(folder / "words.json", json.dumps(frame, ensure_ascii=False).encode())
        write_whole(folder / "main.typ", main.encode())
        content, messages, problems = weave.typeset_report(folder, chapters)
        write_whole(pdf, content)
        warnings, state = warnings + messages, "written"
        record = {"key": key, "pdf": hashlib.sha256(content).hexdigest(), "warnings": warnings}
        if not problems:
            write_whole(stamp, json.dumps(record, ensure_ascii=False).encode())
    for warning in warnings:
        echo(f"  warning: {warning}")
    echo(f"{_as_typed(pdf)}  {state}")
    return problems


def _main(project, chapters, edition, settings, code, known, folder):
    """The Typst source that holds the chapters together; what it needs besides them is written into the folder."""
    receipts = [chapter.task.receipt(project) for chapter in chapters]
    settings["computed"] = max(receipt["finished"] for receipt in receipts)[:10]
    cites, origin, picture = weave.write_references(project, chapters, folder), None, False
    if settings["cover"]:
        trainings = provenance.trainings(receipts)
        settings["caveat"], origin = provenance.caveat(trainings, known), provenance.origin(trainings, receipts, known)
        picture = weave.write_picture(project, edition.picture, chapters, settings["lang"], folder)
    return weave.main_file(settings, chapters, folder, code, picture, cites, origin)


def _warnings_of_same(stamp, pdf, key):
    """The warnings of the PDF that is there, if it is the one that would be made again; else None."""
    if stamp.is_file() and pdf.is_file():
        record = json.loads(stamp.read_text("utf-8"))
        if (record["key"], record["pdf"]) == (key, hashlib.sha256(pdf.read_bytes()).hexdigest()):
            return record["warnings"]


def _as_typed(path):
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
