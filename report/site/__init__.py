"""Notebooks -> the pages of build/site: HTML that needs no network, no script and no file beside it.

markdown      all Markdown and HTML of a page -> HTML, in one run of pandoc (rules in to_html.lua)
page          a woven notebook -> the parts of its page
pages         all pages of an edition, with contents, numbers and links between them
templates/    where parts become HTML; every value is escaped but what `markdown` made
"""
