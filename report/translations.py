"""A notebook in another language: texts of its catalogs, and of today's listings, put into it. Nothing is run.

A language is a folder of gettext catalogs, notebooks/locale/<language>/: <notebook>.po has the texts of a notebook,
common.po those of several notebooks and of modules, report.po those of editions and of the report's own frame.
`messages` keeps them in step with the texts.
"""

import json
from collections import defaultdict
from pathlib import Path

from fer_utils import words
from fer_utils.listings import listing_of

from .cells import answers, is_observation

HERE = Path(__file__).resolve().parent
COMMON, REPORT = "common", "report"
FRAME = json.loads((HERE / "words.json").read_text("utf-8"))  # the words around the notebooks' own texts


def catalog(project, lang, notebook=REPORT):
    """Return the Catalog of a language for a notebook; without one, for the report's frame and its editions."""
    known = words.catalog(lang, [REPORT, COMMON], HERE.parent / "notebooks" / "locale")
    known.update(words.catalog(lang, dict.fromkeys([REPORT, COMMON, notebook]), project.locale))
    return known


def frame(known):
    """Return the words around the notebooks' own texts: dict of name -> text in the language of a Catalog."""
    return {name: known.markdown(text) for name, text in FRAME.items()}


def say(known, name, **fields):
    """Return one of the words around the notebooks' texts, with fields, in the language of a Catalog."""
    return known.markdown(FRAME[name]).format(**fields)


# -- a notebook in another language ------------------------------------------------------------------------------------


def translate(notebook, known):
    """Put the texts of a Catalog into a notebook: into Markdown cells and into what `prose` keeps with outputs."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not is_observation(cell):  # the author's words are left alone
            cell.source = known.markdown(cell.source)
        for output in cell.get("outputs", []):
            if fer := output.get("metadata", {}).get("fer"):
                _translate_output(output["data"], fer, known)


def _translate_output(data, fer, known):
    if fer.get("kind") == "say":  # its English text tells; what follows makes it a text of another language
        fer["answers"] = answers(fer)
    fer |= {part: known.say(fer[part]) for part in ("text", "caption") if part in fer}
    if "rows" in fer:
        fer["header"], *fer["rows"] = [[known.say(cell) for cell in row] for row in (fer["header"], *fer["rows"])]
    if image := fer.pop("images", {}).get(known.lang):
        data["image/svg+xml"] = image


def warnings(known):
    """Return what a report in the language of a Catalog lacks: a line for each reason."""
    reasons = defaultdict(list)
    for text, reason in known.missing.items():
        reasons[reason].append(text)
    return [
        f"{known.lang}: {len(texts)} text{'s' * (len(texts) > 1)} in English ({reason}): {texts[0][:60]!r} …"
        for reason, texts in reasons.items()
    ]


def labels(notebook):
    """Return what the figures of an executed notebook say: list of [English texts, {language: what it drew}]."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    found = [output.get("metadata", {}).get("fer", {}) for output in outputs]
    return [[fer["labels"], fer["said"]] for fer in found if "said" in fer]


def are_current(drawn, project):
    """Return whether figures say what the catalogs say today; a figure is drawn when its notebook runs.

    Args:
        drawn: what `labels` returned when they were drawn.
        project: the Project.
    """
    catalogs = {lang: words.catalog(lang, folder=project.locale) for lang in project.languages}
    return all(said == {lang: list(map(known.say, texts)) for lang, known in catalogs.items()} for texts, said in drawn)


def listed(notebook):
    """Return the definitions that an executed notebook lists: list of [file, name]."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return [place for output in outputs for place in output.get("metadata", {}).get("fer", {}).get("places", [])]


def listing(places, project):
    """Return the source of definitions as it is today; None where one is not there any more."""
    try:
        return "\n\n\n".join(listing_of(project.root / file, name) for file, name in places)
    except (OSError, LookupError, SyntaxError):
        return None
