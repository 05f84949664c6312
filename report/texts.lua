-- Markdown and HTML -> HTML or Typst. `pandoc lua texts.lua` reads a task as JSON and answers in JSON; texts.py says what
-- both hold. Every text passes through pandoc's document model, whose writers escape it: nothing raw comes out at the
-- other end. What differs between print and page is in typst/rules.lua and site/rules.lua.

local here = pandoc.path.directory(arg[0])
local tex = dofile(pandoc.path.join { here, 'tex.lua' })
local task = pandoc.json.decode(io.read 'a', false)
local answer = { texts = pandoc.List {}, sections = pandoc.List {}, warnings = pandoc.List {}, media = {} }
local cell           -- the cell that is being read: warnings name it
local macros = ''    -- \newcommand in any cell holds in the whole notebook, as in Jupyter
local headings = {}  -- name that links use -> label
local taken = { main = true }
for name in pairs(task.figures) do taken[name] = true end

local function warn(message) answer.warnings:insert { cell, (message:gsub('%s+', ' ')) } end
local rules = dofile(pandoc.path.join { here, task.form, 'rules.lua' })(task, answer, warn)
local function written(content)
  return (pandoc.write(pandoc.Pandoc(content), rules.writer, rules.options):gsub('%s+$', ''))
end

-- HTML, also inside Markdown ------------------------------------------------------------------------------------------
local function from_html(text)
  local ok, document = pcall(pandoc.read, text, 'html', nil, {})  -- {}: in a sandbox, or an iframe's page is fetched
  if ok then return document.blocks end
  warn('left out, not readable as HTML: ' .. text:sub(1, 60))
  return {}
end
local function raw_block(raw)
  warn('HTML in Markdown, of which only the text is kept: ' .. raw.text:sub(1, 60))
  return from_html(raw.text)
end
local function raw_inline(raw)
  if raw.text:match '^<br' then return pandoc.LineBreak() end
  if raw.text:match '^<img' then return pandoc.utils.blocks_to_inlines(from_html(raw.text)) end
  if raw.text:match '^<%a' then warn('HTML in Markdown, left out: ' .. raw.text:sub(1, 60)) end
  return {}
end

-- Attributes that a text brought along, and parts that carry them -------------------------------------------------------
local function cleaned(element)
  element.attr = rules.attributes(element)
  return element
end
local function cleaned_table(t)
  local function rows(list)
    for _, row in ipairs(list) do
      cleaned(row)
      for _, c in ipairs(row.cells) do cleaned(c) end
    end
  end
  for _, part in ipairs { t, t.head, t.foot } do cleaned(part) end
  rows(t.head.rows); rows(t.foot.rows)
  for _, body in ipairs(t.bodies) do cleaned(body); rows(body.head); rows(body.body) end
  return t
end
local function division(div)  -- `> [!NOTE]` is a quote that begins with its name
  local title = div.content[1]
  if title and title.t == 'Div' and title.classes[1] == 'title' then
    local name = pandoc.Para { pandoc.Strong(pandoc.utils.blocks_to_inlines(title.content)) }
    return pandoc.BlockQuote { name, table.unpack(div.content, 2) }
  end
  return cleaned(div)
end

-- Headings: the first one of level 1 is the title, and the only one without an identifier --------------------------------
local function heading(h)
  if h.level == 1 and not answer.title then
    answer.title = { plain = pandoc.utils.stringify(h.content) }
    return pandoc.Header(1, h.content)
  end
  local id, count = h.identifier, 1
  while taken[id] or id == '' do id, count = h.identifier .. '-' .. count, count + 1 end
  taken[id] = true
  local label = rules.label(id)
  headings[h.identifier] = headings[h.identifier] or label
  return pandoc.Header(rules.level(h.level), h.content, pandoc.Attr(label))
end
local function listed(h)  -- title and contents are no place for links: they are links themselves
  local shown = written { pandoc.Plain(h.content):walk { Link = function(l) return l.content end } }
  if h.identifier == '' then
    answer.title.shown = shown
    return {}
  end
  if h.level == 2 then answer.sections:insert { id = h.identifier, shown = shown } end
end

-- Mathematics -----------------------------------------------------------------------------------------------------------
local function mathematics(math)
  local formula, tags = tex.formula(math.text)
  if formula:match '^%s*$' then return {} end
  math.text = macros .. formula
  local shown = written { pandoc.Plain { math } }
  if not shown:match(rules.formula_begins) then
    warn('TeX that is not understood, shown as it is: ' .. formula:sub(1, 80))
    return pandoc.Code(formula)
  end
  shown = rules.formula(shown, formula)
  if math.mathtype == 'InlineMath' then return pandoc.RawInline(rules.format, shown) end
  return rules.equation(shown, #tags == 1 and tags[1] or nil)
end

-- Apostrophes that the reader did not set, as in the English words of another language ------------------------------------
local function text(str)
  return pandoc.Str((str.text:gsub("(%a)'(%a)", '%1’%2')))
end

-- Links and images --------------------------------------------------------------------------------------------------------
local function decoded(address)
  return (address:gsub('%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end
local function link(l)
  local name = l.target:match '^#(.*)$'
  if not name then return rules.link(l) end
  name = decoded(name)
  if task.figures[name] then return rules.reference(name) end
  local label = headings[name] or headings[pandoc.text.lower(name)]
  if label then return pandoc.Link(l.content, '#' .. label) end
  warn('link to #' .. name .. ', which does not exist: shown as plain text')
  return l.content
end

local TYPES = { png = 'image/png', jpg = 'image/jpeg', jpeg = 'image/jpeg', gif = 'image/gif', svg = 'image/svg+xml' }
local function from_file(name)
  local kind = TYPES[(name:match '%.(%w+)$' or ''):lower()]
  local file = kind and io.open(pandoc.path.join { task.folder, decoded(name) }, 'rb')
  if file then
    local content = file:read 'a'
    file:close()
    return pandoc.mediabag.make_data_uri(kind, content)
  end
end
local function image(i)
  local name, caption = i.src, #i.caption > 0 and i.caption or { pandoc.Str '[image]' }
  if name:match '^data:image/' then return rules.image(i, caption, name) end
  if name:match '^%a[%w+.-]*:' or name:match '^//' then
    warn('image not fetched from the network: ' .. name:sub(1, 80))
    return rules.link(pandoc.Link(caption, name))
  end
  local uri = from_file(name)
  if uri then return rules.image(i, caption, uri) end
  warn('image ' .. name .. ' is not there')
  return caption
end

-- The whole way -----------------------------------------------------------------------------------------------------------
local documents = pandoc.List {}
for i, text in ipairs(task.texts) do
  cell = text.cell
  local blocks = text.is_html and from_html(text.source) or pandoc.read(text.source, task.reader, nil, {}).blocks
  local document = pandoc.Pandoc(blocks):walk { RawBlock = raw_block, RawInline = raw_inline }
  document = document:walk {
    traverse = 'topdown',
    Div = division, Span = cleaned, Table = cleaned_table, Figure = cleaned, CodeBlock = cleaned, Code = cleaned,
    Note = rules.note, Math = function(math) macros = macros .. tex.macros(math.text) end,
  }
  documents[i] = document:walk { Header = heading }
end
for i, document in ipairs(documents) do
  cell = task.texts[i].cell
  local plain = pandoc.utils.stringify(document)
  local shown = document:walk { Str = text, Math = mathematics, Link = link, Image = image, Table = rules.table }
  shown = shown:walk { Header = listed }  -- last, so that nothing is listed that was not cleaned
  answer.texts:insert { shown = written(shown.blocks), plain = plain }
end
print(pandoc.json.encode(answer))
