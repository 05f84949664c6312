"""Notebooks -> executed notebooks -> Typst -> PDF, and only what has changed is done again.

project      where things lie; editions and author read and checked
parameters   a notebook's parameter cell: names, defaults, types
keys         the content key of a question: same key, same outputs
execute      runs questions with papermill and keeps a receipt of each
cells        the walk over a notebook's cells: what a reader is shown, in order, as items
texts        Markdown, HTML and TeX of a notebook -> HTML or Typst, in one pandoc run (texts.lua, tex.lua)
terminal     what a terminal would show of a stream
words.json   the words around the notebooks' own texts, for print and page
translations a notebook in another language: texts of its catalogs put into it
messages     what there is to translate, and the catalogs (notebooks/locale) in step with it
weave        today's text around the stored outputs -> Typst chapters, in one language
provenance   what a report says of its own origin
copies       notebooks in one language
install      .venv with what requirements.txt pins, for this machine: `make setup`
handin       the hand-in: report, scripts, weights and what they need; submissions
trial        a hand-in's zip unpacked elsewhere and used as by its reader
hw3/         the files of a hand-in
build        the whole way, for `report`, `question` and `site`
typst/       notebooks as Typst source, the nbconvert exporters, the look of the PDF
site/        the same as HTML pages

`python -m fer_report --help` says how to call it. Importing the package imports none of them.
"""
