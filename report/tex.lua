-- What the TeX of a notebook needs before pandoc reads it.
local tex = {}

-- The macros that a formula defines: they hold in the whole notebook, as in Jupyter.
function tex.macros(text)
  local found = ''
  for definition in text:gmatch '\\newcommand%s*%b{}%b{}' do found = found .. definition .. ' ' end
  for definition in text:gmatch '\\newcommand%s*%b{}%b[]%b{}' do found = found .. definition .. ' ' end
  for name, body in text:gmatch '\\DeclareMathOperator%*?%s*{(\\%a+)}(%b{})' do
    found = found .. '\\newcommand{' .. name .. '}{\\operatorname' .. body .. '} '
  end
  for name, body in text:gmatch '\\def%s*(\\%a+)%s*(%b{})' do
    found = found .. '\\newcommand{' .. name .. '}' .. body .. ' '
  end
  return found
end

-- A formula without definitions and without what pandoc does not know; and the numbers that its \tag gave.
function tex.formula(text)
  local tags = {}
  for _, definition in ipairs { '\\DeclareMathOperator%*?%s*%b{}%b{}', '\\def%s*\\%a+%s*%b{}',
                                '\\newcommand%s*%b{}%b{}', '\\newcommand%s*%b{}%b[]%b{}' } do
    text = text:gsub(definition, '')
  end
  text = text:gsub('\\tag%*?%s*(%b{})', function(tag) tags[#tags + 1] = tag:sub(2, -2); return '' end)
  text = text:gsub('\\nonumber', ''):gsub('\\notag', ''):gsub('\\textcolor%s*%b{}(%b{})', '%1')
  return text, tags
end

return tex
