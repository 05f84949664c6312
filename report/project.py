"""Where things lie in a project, and its YAML files: editions (which questions, in which order) and the author."""

import functools
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from fer_utils import words


class UserError(Exception):
    """Something that the user can put right; shown without a traceback."""


@dataclass(frozen=True)
class Question:
    """One question of an edition.

    Attributes:
        id: "q1", "q2", … by position; in front of the labels of its figures.
        notebook: name of the notebook that answers it, without folder and suffix.
        number: what the edition calls it; None for a question that is printed by itself and numbered nowhere.
        points: share of the grade in percent, or None.
        bonus: whether it is counted among the bonus questions.
        parameters: dict of those parameters that are not the notebook's defaults.
        wording: Markdown, empty where the notebook's own wording stands.
        part: the title of the part of the report that begins with this question, or empty.
        fixed: whether its parameters stay what they are when the report is asked for another preset.
    """

    id: str
    notebook: str
    number: int | str | None = None
    points: float | None = None
    bonus: bool = False
    parameters: dict = field(default_factory=dict)
    wording: str = ""
    part: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Edition:
    """A report: its texts, which `translations` says in other languages, and its questions in order.

    `picture` is what stands on the cover: dict of notebook, figure (its name) and caption; or empty.
    """

    name: str
    title: str
    edition: str
    course: str
    questions: tuple[Question, ...]
    picture: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """The folders of a project."""

    root: Path

    @property
    def notebooks(self):
        return self.root / "notebooks"

    @property
    def build(self):
        return self.root / "build"

    @property
    def locale(self):
        """The folder of translations: notebooks/locale/<language>/*.po."""
        return self.notebooks / "locale"

    @functools.cached_property
    def languages(self):
        """The languages that reports can be in, English first."""
        return words.languages(self.locale)

    def all_notebooks(self):
        """Paths of all notebooks, by name."""
        return sorted(self.notebooks.glob("*.ipynb"))

    def notebook(self, name):
        """Path of a notebook. Raises UserError with the names there are."""
        path = self.notebooks / f"{name}.ipynb"
        if not re.fullmatch(r"[\w-]+", str(name)) or not path.is_file():
            known = [p.stem for p in self.all_notebooks()]
            raise UserError(f"no notebook {name!r}; there are: {', '.join(known) or 'none'}")
        return path

    def read_notebook(self, name):
        """A notebook as the dict that its JSON holds."""
        path = self.notebook(name)
        try:
            notebook = json.loads(path.read_text("utf-8"))
            return {**notebook, "cells": [{**c, "source": "".join(c["source"])} for c in notebook["cells"]]}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is not a notebook: {error}") from None

    def editions(self):
        """Names of all editions."""
        return sorted(path.stem for path in (self.root / "report" / "editions").glob("*.yaml"))

    def edition(self, name):
        """Reads report/editions/<name>.yaml. Raises UserError, naming file and place, where it makes no sense."""
        path = self.root / "report" / "editions" / f"{name}.yaml"
        if not re.fullmatch(r"[\w-]+", name) or not path.is_file():
            raise UserError(f"no edition {name!r}; there are: {', '.join(self.editions()) or 'none'}")
        content = _read_yaml(path)
        _check_names(content, {"title", "edition", "course", "questions", "picture"}, path)
        if not isinstance(content.get("questions"), list) or not content["questions"]:
            raise UserError(f"{path}: `questions` must be a list with at least one question")
        return Edition(
            name=name,
            title=_text(content.get("title", name), path, "title"),
            edition=_text(content.get("edition"), path, "edition"),
            course=_text(content.get("course"), path, "course"),
            questions=tuple(self._question(i + 1, q, path) for i, q in enumerate(content["questions"])),
            picture=self._picture(content.get("picture") or {}, path),
        )

    def _picture(self, content, path):
        where = f"{path}, picture"
        _check_names(content, {"notebook", "figure", "caption"}, where)
        if content:
            if set(content) != {"notebook", "figure", "caption"}:
                raise UserError(f"{where}: needs `notebook`, `figure` and `caption`")
            return {**content, "caption": _text(content["caption"], where, "caption")}
        return {}

    def _question(self, position, content, path):
        where = f"{path}, question {position}"
        if not isinstance(content, dict) or "notebook" not in content:
            raise UserError(f"{where}: a question needs a `notebook`")
        _check_names(
            content, {"number", "points", "bonus", "notebook", "parameters", "question", "part", "fixed"}, where
        )
        self.notebook(content["notebook"])
        if not isinstance(content.get("parameters") or {}, dict):
            raise UserError(f"{where}: `parameters` must be a mapping from names to values")
        return Question(
            id=f"q{position}",
            notebook=content["notebook"],
            number=content.get("number", position),
            points=content.get("points"),
            bonus=content.get("bonus", False),
            parameters=content.get("parameters") or {},
            wording=_text(content.get("question"), where, "question"),
            part=_text(content.get("part"), where, "part"),
            fixed=content.get("fixed", False),
        )

    def author(self):
        """The fields of report/author.yaml that are filled in: name, id, department."""
        content = self._author_file()
        return [str(content[key]).strip() for key in ("name", "id", "department") if str(content.get(key, "")).strip()]

    def collaborators(self):
        """The collaborators of report/author.yaml, a list or a text there, as one text; empty without any."""
        named = self._author_file().get("collaborators", "")
        named = named if isinstance(named, list) else [named]
        return ", ".join(filter(None, (str(name).strip() for name in named)))

    def _author_file(self):
        path = self.root / "report" / "author.yaml"
        if not path.is_file():
            return {}
        import yaml

        content = _read_yaml(path, yaml.BaseLoader)  # every field is text: an id like 007 keeps its zeros
        _check_names(content, {"name", "id", "department", "collaborators"}, path)
        return content

    @functools.cached_property
    def works(self):
        """The works of report/references.yml: dict from address to key."""
        path = self.references
        works = _read_yaml(path) if path.is_file() else {}
        return {work["url"]: key for key, work in works.items() if "url" in work}

    @property
    def references(self):
        return self.root / "report" / "references.yml"

    def has_run(self, name):
        """Whether the run store has a finished training of this name."""
        return (Path(os.environ.get("FER_RUNS") or self.root / "runs") / name / "run.json").is_file()

    def data_fingerprint(self):
        """Fingerprint of the data that notebooks load; "" in a project without fer_utils.data."""
        module = self._data_module()
        return _with_data_errors(module, lambda: module.fingerprint()) if module else ""

    def votes(self):
        """Which people's votes (FERPlus) lie with the data, and in which state: path, size and time; "" for none."""
        if module := self._data_module():
            source = _with_data_errors(module, lambda: module.find("auto"))
            path = module.votes_file(source) if source else None
            if path and path.is_file():
                return f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"
        return ""

    def data_line(self, known):
        """What the report says of the data in the language of a Catalog: dict of name, fingerprint, drawn (bool), the
        number of images and `parts`, the splits with the number of images in each, in words; `leaks`, a sentence,
        where many test or validation images are copies of training images."""
        module = self._data_module()
        if module:
            from fer_utils.studies import leaks  # with SciPy: only where a report is made anew

            dataset = _with_data_errors(module, lambda: module.load())
            warning = leaks.warning(dataset)
            parts = {split: int((dataset.split == split).sum()) for split in dataset.splits}
            return {
                "name": known.say(dataset.name),
                "fingerprint": dataset.fingerprint,
                "drawn": dataset.drawn,
                "images": f"{len(dataset.labels):,}",
                "parts": " · ".join(f"{split} {n:,}" for split, n in parts.items()),
                **({"leaks": known.say(warning)} if warning else {}),
            }

    def _data_module(self):
        if (self.root / "fer_utils" / "data.py").is_file():
            sys.path.insert(0, str(self.root))
            try:
                from fer_utils import data
            finally:
                sys.path.remove(str(self.root))
            return data


def _with_data_errors(module, function):
    try:
        return function()
    except module.DataError as error:
        raise UserError(f"the data: {error}") from None


def _read_yaml(path, loader=None):
    import yaml

    try:
        fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # some systems' PyYAML lacks libyaml
        content = yaml.load(path.read_text("utf-8"), loader or fast)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content or {}, dict):
        raise UserError(f"{path} must hold `name: value` lines")
    return content or {}


def _check_names(content, known, where):
    unknown = sorted(set(map(str, content)) - known)
    if unknown:
        raise UserError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _text(value, where, name):
    """A text in English; notebooks/locale has it in other languages."""
    if isinstance(value, dict | list):
        raise UserError(f"{where}: `{name}` must be a text, in English; translations go into notebooks/locale")
    return str("" if value is None else value).strip()
