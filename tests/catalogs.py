"""Translations for tests."""

import json


def write_catalogs(folder, texts):
    """Write gettext catalogs: dict of name -> dict of English text -> translation."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pairs in texts.items():
        entries = [[json.dumps(part, ensure_ascii=False) for part in pair] for pair in pairs.items()]
        content = "\n".join(f"msgid {text}\nmsgstr {said}\n" for text, said in entries)
        (folder / f"{name}.po").write_text(content, "utf-8")
