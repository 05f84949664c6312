"""Notebooks -> the pages of build/site: HTML that needs no network, no script and no file beside it.

pages         all pages of an edition, with contents, numbers and links between them
templates/    where items of notebooks become HTML; every value is escaped but what `texts` made
rules.lua     what a page does its own way with Markdown
"""
