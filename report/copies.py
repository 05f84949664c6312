"""Copies of the notebooks in one language each, to be edited."""

import nbformat

from . import LANGUAGES
from .execute import write_whole


def write(project, langs, echo):
    """Writes build/notebooks/<lang>/<name>.ipynb for every notebook; a copy that is there already is never touched.

    Args:
        project: the Project.
        langs: of "en" and "zh-TW".
        echo: called with lines of progress.

    Returns:
        True.
    """
    for lang in langs:
        for source in sorted(project.notebooks.glob("*.ipynb")):
            copy = project.build / "notebooks" / lang / source.name
            state = "kept as it is" if copy.exists() else "written"
            if not copy.exists():
                write_whole(copy, nbformat.writes(in_one_language(source, lang)).encode())
            echo(f"{copy}  {state}")
    return True


def in_one_language(path, lang):
    """A notebook without the cells of the other languages, and without the tags that name them."""
    notebook = nbformat.read(path, as_version=4)
    others = {f"lang-{other}" for other in LANGUAGES if other != lang}
    notebook.cells = [cell for cell in notebook.cells if not others & set(cell.metadata.get("tags", []))]
    for cell in notebook.cells:
        tags = [tag for tag in cell.metadata.pop("tags", []) if tag != f"lang-{lang}"]
        if tags:
            cell.metadata["tags"] = tags
    return notebook
