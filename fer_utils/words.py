"""English texts that can be shown in another language later, and the catalogs that say how.

`words("{n} of {all}", n=3, all=7)` is the str "3 of 7" that remembers its template and its values. A catalog is what
gettext calls one: `notebooks/locale/<language>/<notebook>.po` for the texts of a notebook, `common.po` for those that
several notebooks or the modules use.
"""

import numbers
import os
import re
import string
from functools import cache
from pathlib import Path

FORMATTER = string.Formatter()


EXPONENT = re.compile(r"e([+-])0*(\d+)")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value, spec=""):
    """Format a number by `spec` as `format` does, as English sets it; whatever is no number is only formatted.

    >>> number(-0.5, ".1%"), number(3e-16, ".0e"), number(12345, ",")
    ('−50.0\\xa0%', '3×10⁻¹⁶', '12,345')
    """
    text = format(value, spec)
    if not isinstance(value, numbers.Number):
        return text
    text = EXPONENT.sub(lambda found: f"×10{(found[1].strip('+') + found[2]).translate(RAISED)}", text)
    return text.replace("-", "−").replace("%", "\u00a0%")


class Words(str):
    """A text in English that remembers its template and its fields, also after `str(…)`, as matplotlib does to labels.

    Attributes:
        template: str with fields as `str.format` has them.
        fields: dict from a field as it is written ("score.n:,") to its formatted value, a str or Words.
    """

    def __new__(cls, template, fields):
        self = super().__new__(cls, _formatted(template, fields, str))
        self.template, self.fields = template, fields
        return self

    def __str__(self):
        return self

    def __reduce__(self):
        return Words, (self.template, self.fields)


def words(template, /, **values):
    """Return a text with fields, as `str.format` writes them: `words("{n:,} images", n=3589)`.

    A value that is a text itself (a class name, other words) is translated together with the template; a bare str is
    a name and stays as it is.
    """
    return filled(template, values)


def filled(template, values):
    """Return `words` with the values in a mapping.

    Raises:
        LookupError: for a field whose value is not in the mapping; the message quotes the template.
    """
    fields = {}
    for _, name, spec, conversion in FORMATTER.parse(template):
        if name is not None:
            try:
                value, _ = FORMATTER.get_field(name, (), values)
            except (LookupError, AttributeError) as error:
                why = f"{{{name}}} is neither an argument nor a variable ({type(error).__name__}: {error})"
                raise LookupError(f"the text {template!r}: {why}") from None
            fields[_written(name, spec, conversion)] = _field(FORMATTER.convert_field(value, conversion), spec)
    return Words(template, fields)


def _field(value, spec):
    return value if isinstance(value, str) and not spec else number(value, spec)


def _written(name, spec, conversion):
    return name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")


def _formatted(template, fields, say):
    """Return a template with its fields filled in, each passed through the function `say`."""
    parts = []
    for literal, name, spec, conversion in FORMATTER.parse(template):
        parts += [literal, "" if name is None else say(fields[_written(name, spec, conversion)])]
    return "".join(parts)


def marked(*texts):
    """Return several texts without values as a tuple of `words`, such as a module's constants."""
    return tuple(map(words, texts))


def joined(texts, sentences=False):
    """Return texts after one another, as a language writes a list, or its sentences."""
    first, *rest = texts or [""]
    for text in rest:
        first = words("{a} {b}" if sentences else "{a}, {b}", a=first, b=text)
    return first


def duration(seconds):
    """Return a time in words, such as "1 h 8 min"."""
    if seconds < 120:
        return words("{n:.0f} s", n=seconds)
    hours, minutes = divmod(round(seconds / 60), 60)
    return words("{hours} h {minutes} min", hours=hours, minutes=minutes) if hours else words("{n} min", n=minutes)


def message(text):
    """Return a text as JSON keeps it: a str, or [template, {field: the same of its value}]."""
    if isinstance(text, Words):
        return [text.template, {field: message(value) for field, value in text.fields.items()}]
    return str(text)


def restored(kept):
    """Return the text of which `message` made this."""
    return (
        kept if isinstance(kept, str) else Words(kept[0], {field: restored(value) for field, value in kept[1].items()})
    )


# -- catalogs ----------------------------------------------------------------------------------------------------------


class Catalog(dict):
    """Dict from English texts and templates to those of another language; empty for English.

    Attributes:
        lang: "en", "zh-TW", …
        missing: dict from each text that was asked for in vain to the reason.
    """

    def __init__(self, lang="en", known=()):
        super().__init__(known)
        self.lang, self.missing = lang, {}

    def say(self, text):
        """Return a text in the language of the catalog; in English where it has none, or one with unknown fields.

        Args:
            text: Words, or what `message` makes of them; a bare str is a name or a number and stays as it is.
        """
        text = message(text) if isinstance(text, str) else text
        if isinstance(text, str):
            return text.replace("\u00a0%", "%") if self.lang.startswith("zh") else text
        template, fields = text
        try:
            return _formatted(self._translated(template, has_words(template)), fields, self.say)
        except (LookupError, ValueError) as error:
            self.missing[template] = f"its translation has an unknown field ({error})"
            return _formatted(template, fields, self.say)

    def markdown(self, source):
        """Return a Markdown cell, whose braces are its own."""
        return self._translated(source, any(map(str.isalpha, source)))

    def _translated(self, text, is_needed):
        if is_needed and self.lang != "en" and text not in self:
            self.missing[text] = "not translated"
        return self.get(text, text)


def has_words(template):
    """Return whether there is anything to translate in a Markdown text, or between the fields of a template."""
    try:
        literals = [literal for literal, *_ in FORMATTER.parse(template)]
    except ValueError:  # braces of TeX
        literals = [template]
    return any(map(str.isalpha, "".join(literals)))


def locale():
    """Return the folder of the catalogs: `$FER_LOCALE`, else `notebooks/locale` of the kit."""
    return Path(os.environ.get("FER_LOCALE") or Path(__file__).resolve().parents[1] / "notebooks" / "locale")


def languages(folder=None):
    """Return the languages that there are, English first."""
    others = sorted(path.name.replace("_", "-") for path in (folder or locale()).glob("*/") if any(path.glob("*.po")))
    return ["en", *others]


def catalog(lang, names=("*",), folder=None):
    """Return the Catalog of a language: of the files with these names (by default all) in a folder of catalogs."""
    folder, known = (folder or locale()) / lang.replace("-", "_"), {}
    for name in names if lang != "en" else ():
        for path in sorted(folder.glob(f"{name}.po")):
            known |= _read(path, path.stat().st_mtime_ns)
    return Catalog(lang, known)


@cache
def _read(path, _):
    """Return the translations in a file that are there and not to be looked at again (fuzzy)."""
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        return {m.id: m.string for m in read_po(file, ignore_obsolete=True) if m.id and m.string and not m.fuzzy}
