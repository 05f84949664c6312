"""Notebooks -> executed notebooks -> Typst -> PDF, and only what has changed is done again.

project      where things lie; editions and author read and checked
parameters   a notebook's parameters: defaults, `P="name=value …"`, types
keys         the content key of a question: same key, same outputs
execute      runs questions with papermill and keeps a receipt of each
weave        today's text around the stored outputs -> Typst chapters, in one language
build        the whole way, for `report` and for `question`
typst/       the nbconvert exporters and the look

`python -m fer_report --help` says how to call it. Importing the package imports none of them.
"""
