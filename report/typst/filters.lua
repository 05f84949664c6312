-- Mends what pandoc would lose, refuse or let through between a notebook's Markdown and Typst.
-- Metadata from markdown.py: `nonce` (marks where a piece begins), `prefix` (of every label), `figures` (names that exist),
-- `works` (addresses and their keys in the bibliography).

local shared = pandoc.path.join { pandoc.path.directory(PANDOC_SCRIPT_FILE), '..' }
local tex, elements = dofile(pandoc.path.join { shared, 'tex.lua' }), dofile(pandoc.path.join { shared, 'elements.lua' })
local nonce, prefix, figures, works = '', '', {}, {}
local piece = '0'          -- the piece of the notebook that is being read: warnings name it
local macros = ''          -- \newcommand in any cell holds in the whole notebook, as in Jupyter
local headings = {}

local function warn(message)
  io.stderr:write('[' .. nonce .. ' ' .. piece .. '] ' .. message:gsub('%s+', ' ') .. '\n')
end

local function label(name)  -- a Typst label: letters of any script, digits, and these three marks
  return prefix .. name:gsub('[^%w%-_:\128-\255]', '-')
end

local function settings(meta)
  nonce, prefix = pandoc.utils.stringify(meta.nonce), pandoc.utils.stringify(meta.prefix)
  for name in pandoc.utils.stringify(meta.figures):gmatch '%S+' do figures[name] = true end
  for address, key in pandoc.utils.stringify(meta.works):gmatch '(%S+) (%S+)' do works[address] = key end
end

-- Where a piece begins --------------------------------------------------------------------------------------------
local function begin_piece(paragraph)
  local number = pandoc.utils.stringify(paragraph):match('^' .. nonce .. 'n(%d+)$')
  if number then return pandoc.RawBlock('typst', '//@' .. nonce .. ':' .. number) end
end
local function follow(raw)
  if raw.format == 'typst' then piece = raw.text:match ':(%d+)$' or piece end
end

-- HTML and TeX inside Markdown --------------------------------------------------------------------------------------
local function reread(text, format)
  local ok, document = pcall(pandoc.read, text, format, nil, {})  -- {}: in a sandbox, or an iframe's page would be fetched
  if ok then return document.blocks end
  warn('left out, not readable as ' .. format .. ': ' .. text:sub(1, 60))
  return {}
end
local function raw_block(raw)
  if raw.format:match 'tex' then return reread(raw.text, 'latex') end
  if raw.format == 'html' then return reread(raw.text, 'html') end
end
local function raw_inline(raw)
  if raw.format:match 'tex' then return pandoc.utils.blocks_to_inlines(reread(raw.text, 'latex')) end
  if raw.text:match '^<br' then return pandoc.LineBreak() end
  if raw.text:match '^<img' then return pandoc.utils.blocks_to_inlines(reread(raw.text, 'html')) end
  return {}
end
local function html_output(code)  -- an output's HTML arrives as a code block of this class
  if code.classes[1] == nonce .. 'html' then return reread(code.text, 'html') end
end

-- `typst:…` attributes would be pasted into the source as code
local function disarm(element)
  for key in pairs(element.attributes) do
    if key:match '^typst' then element.attributes[key] = nil end
  end
  if element.identifier ~= '' then element.identifier = label(element.identifier) end
  return element
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
local function disarm_table(t)
  for i, column in ipairs(t.colspecs) do
    if column[1] == 'AlignDefault' then column[1] = is_number_column(t, i) and 'AlignRight' or 'AlignLeft' end
    t.colspecs[i] = column
  end
  return elements.each_of_table(t, disarm)
end
local function division(div) return elements.callout(div) or disarm(div) end

-- Mathematics -------------------------------------------------------------------------------------------------------
local function collect_macros(math) macros = macros .. tex.macros(math.text) end
local function mathematics(math)
  local t, tags = tex.formula(math.text)
  if t:match '^%s*$' then return {} end
  math.text = macros .. t
  local typst = pandoc.write(pandoc.Pandoc { pandoc.Plain { math } }, 'typst'):gsub('%s+$', '')
  if not typst:match '^%$' then
    warn('TeX that is not understood, printed as it is: ' .. t:sub(1, 80))
    return pandoc.Code(t)
  end
  if #tags == 1 and math.mathtype == 'DisplayMath' then
    return pandoc.RawInline('typst', '#tagged("' .. tags[1]:gsub('[\\"]', '\\%0') .. '")[' .. typst .. ']')
  end
  return pandoc.RawInline('typst', typst)
end

-- Links and pictures ------------------------------------------------------------------------------------------------
local function heading(h)
  if h.identifier == '' then return end
  headings[h.identifier] = label(h.identifier)
  return disarm(h)
end
local function link(l)
  local target = l.target:match '^#(.*)$'
  if works[l.target] then return pandoc.RawInline('typst', '#work("' .. works[l.target] .. '")') end
  if not target then return disarm(l) end
  target = target:gsub('%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
  if figures[target] then return pandoc.RawInline('typst', '#ref(label("' .. label(target) .. '"))') end
  local heading_label = headings[target] or headings[pandoc.text.lower(target)]
  if heading_label then l.target = '#' .. heading_label; return disarm(l) end
  warn('link to #' .. target .. ', which does not exist: printed as plain text')
  return l.content
end
local function picture(image)
  if image.src:match '^%a+:' and not image.src:match '^data:' then
    warn('picture not fetched from the network: ' .. image.src)
    return pandoc.Link(pandoc.utils.stringify(image.caption) ~= '' and image.caption or { pandoc.Str '[image]' }, image.src)
  end
  return disarm(image)
end

return {
  { Meta = settings },
  { Para = begin_piece, CodeBlock = html_output },
  { traverse = 'topdown', RawBlock = function(r) follow(r); return raw_block(r) end, RawInline = raw_inline },
  { Math = collect_macros, Header = heading },
  { Div = division, Span = disarm, Table = disarm_table, Figure = disarm, CodeBlock = disarm, Code = disarm },
  { traverse = 'topdown', RawBlock = follow, Math = mathematics, Link = link, Image = picture },
}
