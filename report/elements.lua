-- Parts of pandoc's document model that print and page treat alike; what is done to each part is the caller's.
local elements = {}

-- Calls `apply` on the table itself and on everything in it that carries attributes.
function elements.each_of_table(t, apply)
  local function rows(list)
    for _, row in ipairs(list) do
      apply(row)
      for _, cell in ipairs(row.cells) do apply(cell) end
    end
  end
  for _, part in ipairs { t, t.head, t.foot } do apply(part) end
  rows(t.head.rows); rows(t.foot.rows)
  for _, body in ipairs(t.bodies) do apply(body); rows(body.head); rows(body.body) end
  return t
end

-- `> [!NOTE]` as a quote that begins with its name; nil where the division is something else.
function elements.callout(div)
  local title = div.content[1]
  if title and title.t == 'Div' and title.classes[1] == 'title' then
    local name = pandoc.Para { pandoc.Strong(pandoc.utils.blocks_to_inlines(title.content)) }
    return pandoc.BlockQuote { name, table.unpack(div.content, 2) }
  end
end

return elements
