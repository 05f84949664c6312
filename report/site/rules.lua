-- What a page does its own way: no attribute that a text brought along, and no address but those that `link` lets through.

return function(task, answer, warn)
  local rules = {
    format = 'html',
    writer = 'html',
    options = { html_math_method = 'mathml', wrap_text = 'none' },
    formula_begins = '^<math',
  }

  function rules.attributes() return pandoc.Attr() end
  function rules.label(id) return id end
  function rules.level(level) return math.max(level, 2) end

  function rules.note(note)  -- a page has no foot: what stands there in print comes in brackets
    local inside = pandoc.utils.blocks_to_inlines(note.content)
    return { pandoc.Str ' (', pandoc.Span(inside), pandoc.Str ')' }
  end

  function rules.formula(shown) return shown end  -- MathML speaks for itself

  function rules.equation(shown, tag)
    local number = tag and { pandoc.Span('(' .. tag .. ')', { class = 'tag' }) } or {}
    return pandoc.Span({ pandoc.RawInline('html', shown), table.unpack(number) }, { class = 'equation' })
  end

  function rules.reference(name)
    return pandoc.Link(task.figures[name], '#' .. name, '', { class = 'reference' })
  end

  function rules.link(l)
    if l.target:lower():match '^https?://' or l.target:match '^mailto:' then return pandoc.Link(l.content, l.target) end
    warn('link that leads nowhere on the web, shown as plain text: ' .. l.target:sub(1, 80))
    return l.content
  end

  function rules.image(_, caption, uri) return pandoc.Image(caption, uri) end

  function rules.table(t)  -- what is too wide for a telephone moves by itself, not the page
    return pandoc.Div({ t }, { class = 'scroll', tabindex = '0' })
  end

  return rules
end
