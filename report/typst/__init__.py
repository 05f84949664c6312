"""Notebook -> Typst -> PDF.

exporter    the two nbconvert exporters, `typst` and `typst-pdf`
outputs     what a cell displayed -> Typst source
markdown    all Markdown, HTML and TeX of a notebook -> Typst source in one pandoc run (rules in filters.lua)
literal     Python values -> Typst literals: the one door for data
compile     Typst source -> PDF, with errors traced to the notebook's cell
fonts       which fonts there are, and which characters none of them has
kit.typ     the look
"""
