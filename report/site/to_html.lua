-- Texts of a page -> HTML. `pandoc lua to_html.lua` reads a task as JSON and answers in JSON; markdown.py says what both hold.
-- Every text passes through pandoc's document model, whose writer escapes it: no raw HTML comes out at the other end, no
-- attribute that a text brought along, and no address but those that `link` and `picture` let through.

local shared = pandoc.path.join { pandoc.path.directory(arg[0]), '..' }
local tex, elements = dofile(pandoc.path.join { shared, 'tex.lua' }), dofile(pandoc.path.join { shared, 'elements.lua' })
local task = pandoc.json.decode(io.read 'a', false)
local answer = { texts = pandoc.List {}, sections = pandoc.List {}, warnings = pandoc.List {} }
local cell           -- the cell that is being read: warnings name it
local macros = ''    -- \newcommand in any cell holds on the whole page, as in Jupyter
local headings = {}  -- name that links use -> id on the page
local taken = { main = true }
for name in pairs(task.figures) do taken[name] = true end

local function warn(message)
  answer.warnings:insert { cell, (message:gsub('%s+', ' ')) }
end
local function written(content)
  local options = { html_math_method = 'mathml', wrap_text = 'none' }
  return (pandoc.write(pandoc.Pandoc(content), 'html', options):gsub('%s+$', ''))
end

-- HTML inside Markdown ------------------------------------------------------------------------------------------------
local function from_html(text)
  return pandoc.read(text, 'html', nil, {}).blocks  -- {}: in a sandbox; else the reader would fetch an iframe's page
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

-- Attributes that a text brought along ----------------------------------------------------------------------------------
local function bare(element)
  element.attr = pandoc.Attr()
  return element
end
local function bare_table(t) return elements.each_of_table(t, bare) end
local function division(div) return elements.callout(div) or bare(div) end
local function note(n)  -- a page has no foot: what stands there in print comes in brackets
  local inside = pandoc.utils.blocks_to_inlines(n.content)
  return { pandoc.Str ' (', pandoc.Span(inside), pandoc.Str ')' }
end

-- Headings: the first one of level 1 is the page's title ------------------------------------------------------------------
local function heading(h)
  if h.level == 1 and not answer.title then
    answer.title = { plain = pandoc.utils.stringify(h.content) }
    return pandoc.Header(1, h.content)
  end
  local id, count = h.identifier, 1
  while taken[id] or id == '' do id, count = h.identifier .. '-' .. count, count + 1 end
  taken[id], headings[h.identifier] = true, headings[h.identifier] or id
  return pandoc.Header(math.max(h.level, 2), h.content, pandoc.Attr(id))
end
local function listed(h)  -- title and contents are no place for links: they are links themselves
  local html = written { pandoc.Plain(h.content):walk { Link = function(l) return l.content end } }
  if h.level == 1 then
    answer.title.html = html
    return {}
  end
  if h.level == 2 then answer.sections:insert { id = h.identifier, html = html } end
end

-- Mathematics -------------------------------------------------------------------------------------------------------------
local function mathematics(math)
  local formula, tags = tex.formula(math.text)
  if formula:match '^%s*$' then return {} end
  math.text = macros .. formula
  local html = written { pandoc.Plain { math } }
  if not html:match '^<math' then
    warn('TeX that is not understood, shown as it is: ' .. formula:sub(1, 80))
    return pandoc.Code(formula)
  end
  local shown = pandoc.RawInline('html', html)
  if math.mathtype == 'InlineMath' then return shown end
  local number = #tags == 1 and { pandoc.Span('(' .. tags[1] .. ')', { class = 'tag' }) } or {}
  return pandoc.Span({ shown, table.unpack(number) }, { class = 'equation' })
end

-- Links, pictures and tables ----------------------------------------------------------------------------------------------
local function decoded(address)
  return (address:gsub('%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end
local function link(l)
  local name = l.target:match '^#(.*)$'
  if name then
    name = decoded(name)
    if task.figures[name] then return pandoc.Link(task.figures[name], '#' .. name, '', { class = 'reference' }) end
    local id = headings[name] or headings[pandoc.text.lower(name)]
    if id then return pandoc.Link(l.content, '#' .. id) end
    warn('link to #' .. name .. ', which does not exist: shown as plain text')
  elseif l.target:lower():match '^https?://' or l.target:match '^mailto:' then
    return pandoc.Link(l.content, l.target)
  else
    warn('link that leads nowhere on the web, shown as plain text: ' .. l.target:sub(1, 80))
  end
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
local function picture(image)
  local name, caption = image.src, #image.caption > 0 and image.caption or { pandoc.Str '[image]' }
  if name:match '^data:image/' then return pandoc.Image(caption, name) end
  if name:match '^%a[%w+.-]*:' or name:match '^//' then
    warn('picture not fetched from the network: ' .. name:sub(1, 80))
    return link(pandoc.Link(caption, name))
  end
  local uri = from_file(name)
  if uri then return pandoc.Image(caption, uri) end
  warn('picture ' .. name .. ' is not there')
  return caption
end

local function scrolling(t)  -- what is too wide for a telephone moves by itself, not the page
  return pandoc.Div({ t }, { class = 'scroll', tabindex = '0' })
end

-- The whole way -------------------------------------------------------------------------------------------------------------
local documents = pandoc.List {}
for i, text in ipairs(task.texts) do
  cell = text.cell
  local blocks = text.is_html and from_html(text.source) or pandoc.read(text.source, task.reader, nil, {}).blocks
  local document = pandoc.Pandoc(blocks):walk { RawBlock = raw_block, RawInline = raw_inline }
  document = document:walk {
    traverse = 'topdown',
    Div = division, Span = bare, Table = bare_table, Figure = bare, CodeBlock = bare, Code = bare, Note = note,
    Math = function(math) macros = macros .. tex.macros(math.text) end,
  }
  documents[i] = document:walk { Header = heading }
end
for i, document in ipairs(documents) do
  cell = task.texts[i].cell
  local plain = pandoc.utils.stringify(document)
  local shown = document:walk { Math = mathematics, Link = link, Image = picture, Table = scrolling }
  shown = shown:walk { Header = listed }  -- last, so that nothing is listed that was not cleaned
  answer.texts:insert { html = written(shown.blocks), plain = plain }
end
print(pandoc.json.encode(answer))
