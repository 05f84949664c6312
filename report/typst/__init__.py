"""Notebook -> Typst -> PDF.

source      a notebook -> Typst source, by its items
exporter    the two nbconvert exporters, `typst` and `typst-pdf`
outputs     the items of a notebook -> Typst source
rules.lua   what print does its own way with Markdown
literal     Python values -> Typst literals: the one door for data
compile     Typst source -> PDF, with errors traced to the notebook's cell
fonts       which fonts there are, and which characters none of them has
kit.typ     the look
"""
