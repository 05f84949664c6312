-- What print does its own way: labels with a prefix, citations, images as files, columns of numbers on the right.

return function(task, answer)
  local rules = { format = 'typst', writer = 'typst-smart', options = { wrap_text = 'none' }, formula_begins = '^%$' }

  -- `typst:…` attributes would be pasted into the source as code; a class colours code
  function rules.attributes(element) return pandoc.Attr('', element.classes) end
  function rules.level(level) return level end
  function rules.label(name)  -- letters of any script, digits, and these three marks
    return task.prefix .. name:gsub('[^%w%-_:\128-\255]', '-')
  end

  local function quoted(text) return '"' .. text:gsub('%s+', ' '):gsub('[\\"]', '\\%0') .. '"' end

  function rules.formula(shown, tex)  -- the TeX is what a screen reader says; ; ends the call
    return '#formula(' .. quoted(tex) .. ', ' .. shown .. ');'
  end

  function rules.equation(shown, tag)
    if not tag then return pandoc.RawInline('typst', shown) end
    return pandoc.RawInline('typst', '#tagged(' .. quoted(tag) .. ')[' .. shown .. ']')
  end

  function rules.reference(name)
    return pandoc.RawInline('typst', '#ref(label("' .. rules.label(name) .. '"))')
  end

  function rules.link(l)
    local work = task.works[l.target]
    return work and pandoc.RawInline('typst', '#work("' .. work .. '")') or pandoc.Link(l.content, l.target)
  end

  local SUFFIXES = { jpeg = 'jpg', ['svg+xml'] = 'svg' }
  function rules.image(image, caption, uri)
    local kind = uri:match '^data:image/([%w+.-]+)'
    local name = 'media/' .. pandoc.utils.sha1(uri):sub(1, 16) .. '.' .. (SUFFIXES[kind] or kind)
    answer.media[name] = uri
    local size = { width = image.attributes.width, height = image.attributes.height }
    return pandoc.Image(caption, name, '', pandoc.Attr('', {}, size))
  end

  local function is_number_column(t, column)
    local seen = false
    for _, body in ipairs(t.bodies) do
      for _, row in ipairs(body.body) do
        local text = row.cells[column] and pandoc.utils.stringify(row.cells[column].contents) or ''
        if text ~= '' and text ~= 'NaN' and not text:match '^[%-−+]?[%d.,]+%s?[%%%a]?$' then return false end
        seen = seen or text ~= ''
      end
    end
    return seen
  end
  function rules.table(t)
    for i, column in ipairs(t.colspecs) do
      if column[1] == 'AlignDefault' then column[1] = is_number_column(t, i) and 'AlignRight' or 'AlignLeft' end
      t.colspecs[i] = column
    end
    return t
  end

  return rules
end
