"""Copies of the notebooks in one language each, to be edited and run."""

import nbformat

from . import messages, translations
from .execute import write_whole


def write(project, langs, echo):
    """Writes build/notebooks/<lang>/<name>.ipynb for every notebook; a copy that is there already is never touched.

    Args:
        project: the Project.
        langs: list of languages.
        echo: called with lines of progress.

    Returns:
        True.
    """
    for lang in langs:
        for source in project.all_notebooks():
            copy = project.build / "notebooks" / lang / source.name
            state = "kept as it is" if copy.exists() else "written"
            if not copy.exists():
                write_whole(copy, nbformat.writes(in_one_language(project, source, lang)).encode())
            echo(f"{copy}  {state}")
    return True


def in_one_language(project, path, lang):
    """A notebook whose cells, texts and comments are in a language, and which shows that language when it runs."""
    notebook, known = nbformat.read(path, as_version=4), translations.catalog(project, lang, path.stem)
    translations.translate(notebook, known)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = messages.code_in(cell.source, known)
    if lang != "en":
        notebook.cells.insert(1, nbformat.v4.new_code_cell(f"%env FER_LANG={lang}", id="language"))
    return notebook
