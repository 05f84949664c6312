"""What there is to translate, and the gettext catalogs that are kept in step with it: `make translations`."""

import ast
import io
import json
import tokenize
from collections import defaultdict
from typing import NamedTuple

from fer_utils import words

from .cells import is_observation
from .execute import write_whole
from .keys import tree_of
from .translations import COMMON, FRAME, REPORT

# Where calls in notebooks (prose.say …) and modules (words …) have their texts: which positional arguments.
ALL, FIRST, SECOND = slice(None), slice(1), slice(1, 2)
TEXTS = {
    "say": ALL,
    "figure": SECOND,
    "table": SECOND,
    "listing": SECOND,
    "words": FIRST,
    "marked": ALL,
    "NoAnswer": FIRST,
}
HEADER = """# {language}
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


class Message(NamedTuple):
    """A text, and where it stands: the id of a cell, or a file."""

    text: str
    place: str


def messages_of_notebook(notebook):
    """Return the Messages of a notebook (as `Project.read_notebook` returns it) in order."""
    found = []
    for cell in notebook["cells"]:
        texts = [cell["source"]] if cell["cell_type"] == "markdown" and not is_observation(cell) else []
        if cell["cell_type"] == "code":
            texts = [node.value for node in texts_in(cell["source"])]
            texts += [text for _, text in comments_in(cell["source"])]
        found += [Message(text, cell["id"]) for text in texts if text.strip()]
    return found


def messages_of_modules(root):
    """Return the Messages that modules mark by `words`, `marked` and `NoAnswer`."""
    files = sorted((root / "fer_utils").rglob("*.py")) if (root / "fer_utils").is_dir() else []
    return [
        Message(node.value, path.relative_to(root).as_posix())
        for path in files
        for node in texts_in(path.read_text("utf-8"), ("words", "marked", "NoAnswer"))
    ]


def messages_of_report(project):
    """Return the Messages of all editions and of the report's frame."""
    texts = [Message(text, "words.json") for text in FRAME.values()]
    for name in project.editions():
        edition = project.edition(name)
        own = [edition.title, edition.edition, edition.course, edition.picture.get("caption", "")]
        own += [text for question in edition.questions for text in (question.part, question.wording)]
        texts += [Message(text, f"{name}.yaml") for text in own]
    return [message for message in texts if message.text]


def texts_in(source, names=tuple(TEXTS)):
    """Return the texts in calls of these names: list of ast.Constant in order."""
    calls = [node for node in ast.walk(tree_of(source)) if isinstance(node, ast.Call)]
    found = [text for call in calls if _called(call) in names for text in _texts_of_call(call)]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _called(call):
    """Return the name of a function of `prose` or `words` that is called, or None."""
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        return call.func.attr if call.func.value.id in ("prose", "words", "graph") else None
    return getattr(call.func, "id", None)


def _texts_of_call(call):
    name = _called(call)
    arguments = list(call.args[TEXTS[name]])
    if name == "table":
        keys = [key for node in ast.walk(call.args[0]) if isinstance(node, ast.Dict) for key in node.keys if key]
        arguments += [keyword.value for keyword in call.keywords if keyword.arg == "header"] or keys
    return [text for node in arguments for text in _constants(node)]


def _constants(node):
    """Yield the strings that an argument may be: those of `"…" if it_holds else "…"`, those in a list."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    inner = [node.body, node.orelse] if isinstance(node, ast.IfExp) else getattr(node, "elts", [])
    for part in inner:
        yield from _constants(part)


def comments_in(source):
    """Return the comments in the code of a cell: list of ((row, column), text without the sign)."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            text = token.string.lstrip("# ")
            if token.type == tokenize.COMMENT and text:
                row, column = token.start
                found.append(((row, column + len(token.string) - len(text)), text))
    except (tokenize.TokenError, SyntaxError):  # IPython's own lines
        pass
    return found


def all_messages(project):
    """Return the texts of every catalog: dict of its name -> list of Message, each text once in all of them."""
    own = {path.stem: messages_of_notebook(project.read_notebook(path.stem)) for path in project.all_notebooks()}
    users = defaultdict(set)
    for name, found in own.items():
        for message in found:
            users[message.text].add(name)
    shared = [message for found in own.values() for message in found if len(users[message.text]) > 1]
    catalogs = {COMMON: [*messages_of_modules(project.root), *shared], REPORT: messages_of_report(project), **own}
    seen = set()
    return {name: [m for m in found if m.text not in seen and not seen.add(m.text)] for name, found in catalogs.items()}


def code_in(source, known):
    """Return the code of a cell with its texts and comments in the language of a Catalog."""
    lines, replaced = source.splitlines(keepends=True), []
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for node in texts_in(source):
        begin = starts[node.lineno - 1] + _characters(lines[node.lineno - 1], node.col_offset)
        end = starts[node.end_lineno - 1] + _characters(lines[node.end_lineno - 1], node.end_col_offset)
        replaced.append((begin, end, node.value, lambda text: json.dumps(text, ensure_ascii=False)))
    for (row, column), text in comments_in(source):
        begin = starts[row - 1] + column
        replaced.append((begin, begin + len(text), text, str))
    for begin, end, text, written in sorted(replaced, key=lambda part: part[:2], reverse=True):
        if text in known:
            source = source[:begin] + written(known[text]) + source[end:]
    return source


def _characters(line, offset):
    """Return how many characters the first `offset` bytes of a line are; syntax trees count bytes."""
    return len(line.encode()[:offset].decode())


# -- the catalogs ------------------------------------------------------------------------------------------------------


def update(project, langs, echo):
    """Write notebooks/locale/<language>/*.po: new texts untranslated, changed ones fuzzy, those that are gone without.

    Args:
        project: the Project.
        langs: languages; one without a folder begins with everything untranslated.
        echo: called with a line for each catalog.

    Returns:
        Whether everything is translated.
    """
    found, complete = all_messages(project), []
    for lang in langs:
        known = words.catalog(lang, folder=project.locale)  # a text may move from one catalog to another
        complete += [_update(project, lang, name, texts, known, echo) for name, texts in found.items()]
    return all(complete)


def _update(project, lang, name, texts, elsewhere, echo):
    folder = project.locale / lang.replace("-", "_")
    path, old = folder / f"{name}.po", {}
    if path.is_file():
        old = {message.id: message for message in _read(path) if message.id}
    wanted = {message.text for message in texts}
    stale = _by_place([(m.id, m.locations[0][0]) for m in old.values() if m.locations], without=wanted)
    fresh = _by_place(texts, without=set(old))
    changed = {text: old[stale[place]] for place, text in fresh.items() if place in stale}
    content = HEADER.format(language=folder.name).encode() + _po(texts, old | changed, set(changed), elsewhere)
    if texts and (not path.is_file() or path.read_bytes() != content):
        write_whole(path, content)
    elif not texts:
        path.unlink(missing_ok=True)
    return _tell(path, texts, _read(path) if texts else [], echo)


def _by_place(messages, without):
    """Return the texts by where they stand: dict of (place, how many-th there) -> text."""
    counts, found = defaultdict(int), {}
    for text, place in messages:
        counts[place] += 1
        if text not in without:
            found[place, counts[place]] = text
    return found


def _po(texts, known, changed, elsewhere):
    """Return the content of a catalog, as bytes, without its header."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import write_po

    catalog = Catalog(fuzzy=False)
    for text, place in texts:
        before = known.get(text)
        string = before.string if before and before.string else elsewhere.get(text, "")
        string = string or ("" if words.has_words(text) else text)  # fields alone: most languages have the same
        message = catalog.add(text, string, locations=[(place, None)])
        message.flags = {"fuzzy"} if string and before and (text in changed or before.fuzzy) else set()
        message.user_comments = before.user_comments if before else []
    content = io.BytesIO()
    write_po(content, catalog, width=0, omit_header=True)
    return content.getvalue().rstrip(b"\n") + b"\n"


def _read(path):
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        return list(read_po(file, ignore_obsolete=True))


def _tell(path, texts, messages, echo):
    untranslated = [m.id for m in messages if m.id and not m.string]
    fuzzy = [m.id for m in messages if m.id and m.fuzzy]
    state = f"{len(untranslated)} to translate, {len(fuzzy)} to look at again" if untranslated or fuzzy else "complete"
    echo(f"  {path.parent.name}/{path.name}: {len(texts)} texts, {state}")
    return not untranslated + fuzzy
