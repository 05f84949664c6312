"""Notebooks -> executed notebooks -> Typst -> PDF, and only what has changed is done again.

project      where things lie; editions and author read and checked
parameters   a notebook's parameters: its defaults, and the values that a question is run with
keys         the content key of a question: same key, same outputs
execute      runs questions with papermill and keeps a receipt of each
weave        today's text around the stored outputs -> Typst chapters, in one language
provenance   what a report says of its own origin
copies       notebooks in one language
handin       the hand-in: report, scripts, weights and what they need; submissions
trial        a hand-in's zip unpacked elsewhere and used as by its reader
hw3/         the files of a hand-in
watch/       notes what hw3_test.sh opens
build        the whole way, for `report`, `question` and `site`
typst/       the nbconvert exporters and the look of the PDF
site/        the same as HTML pages
tex.lua      what TeX needs before pandoc reads it, in both
elements.lua what both do alike with tables and call-outs

`python -m fer_report --help` says how to call it. Importing the package imports none of them.
"""
