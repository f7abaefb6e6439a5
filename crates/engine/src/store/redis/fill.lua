-- The entries' bytes do not pass through Lua, which takes 2 µs for 2 KB: this is the first step of a transaction, and plain
-- `SET … NX` follow, one for each entry. What stands in the way of an entry that may be stored is deleted here; in the way
-- of one that may not, something stands or is put there.
-- KEYS state, and the names of the entries · ARGV number of tags, these tags, the entries' common epoch (or nothing),
-- lowest and highest base, and what each is judged by (see entries.rs)
-- → nothing if all may be stored, or for each entry 0 stored, 1 overtaken, 2 a newer one is stored
local tags = tonumber(ARGV[1])
local held = redis.call('ZMSCORE', KEYS[1], 's', 'f', EPOCH, unpack(ARGV, 2, tags + 1))
local known = held[1] and held[2] and held[3]
local head, floor, epoch, newest = 0, 0, 0, 0
if known then
  head, floor, epoch = -held[1] - 1, -held[2] - 1, -held[3] - 1
  -- One clock for each tag asked for, after the three fields.
  for at = 4, tags + 3 do
    if held[at] then
      held[at] = tonumber(held[at])
      if held[at] > newest then newest = held[at] end
    end
  end
end

-- None can be refused, and nothing that is stored can have a higher base.
local lowest, highest = tonumber(ARGV[tags + 3]), tonumber(ARGV[tags + 4])
if known and tonumber(ARGV[tags + 2]) == epoch and lowest == head and highest == head then
  redis.call('DEL', unpack(KEYS, 2))
  return {}
end

-- The places are those of entry.rs.
local function newer_stored(name, base)
  if base == head then return false end
  local there = redis.pcall('GETRANGE', name, 0, 19)
  return type(there) == 'string' and #there == 20 and string.sub(there, 1, 3) == 'Us\2'
    and struct.unpack('>I8', there, 5) == epoch and struct.unpack('>I8', there, 13) > base
end

local answer, facts, at = {}, ARGV[tags + 5], 1
for entry = 1, #KEYS - 1 do
  local name, its_epoch, base, count = KEYS[entry + 1]
  its_epoch, base, count, at = struct.unpack('>I8I8I2', facts, at)
  local overtaken = not known or its_epoch ~= epoch or base > head or base < floor
  if newest > base and not overtaken then
    for place = at, at + 2 * count - 2, 2 do
      local clock = held[struct.unpack('>I2', facts, place) + 4]
      if clock and clock > base then overtaken = true end
    end
  end
  at = at + 2 * count
  if overtaken then
    answer[entry] = 1
    redis.call('SET', name, '', 'NX', 'PX', 1)
  elseif newer_stored(name, base) then
    answer[entry] = 2
  else
    answer[entry] = 0
    redis.call('DEL', name)
  end
end
return answer
