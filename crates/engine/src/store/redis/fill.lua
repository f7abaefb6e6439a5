-- The entries' bytes do not pass through Lua, which takes 2 µs for 2 KB: they were put under passing names by the same
-- transaction, and it removes what is left there. Here each is judged, and moved to its place.
-- KEYS state, and for each entry its passing name and its own · ARGV number of entries, number of tags, these tags, their
-- common epoch (or nothing), lowest and highest base, what each is judged by (see entries.rs), and for each its lifetime
-- in ms
-- → for each entry 0 stored, 1 overtaken, 2 a newer one is stored
local entries, tags = tonumber(ARGV[1]), tonumber(ARGV[2])
local ask = { 'ZMSCORE', KEYS[1], 's', 'f', EPOCH }
for at = 3, tags + 2 do ask[at + 3] = ARGV[at] end
local held = redis.call(unpack(ask))
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

local answer = {}
local function store(entry)
  local name = KEYS[2 * entry + 1]
  redis.call('RENAME', KEYS[2 * entry], name)
  redis.call('PEXPIRE', name, ARGV[tags + 6 + entry])
  answer[entry] = 0
end

-- All at once, if none can be refused: no entry stored can have a base above the head.
local lowest, highest = tonumber(ARGV[tags + 4]), tonumber(ARGV[tags + 5])
if known and tonumber(ARGV[tags + 3]) == epoch and lowest == head and highest == head and newest <= head then
  for entry = 1, entries do store(entry) end
  return answer
end

-- The places are those of entry.rs.
local function newer_stored(name, base)
  if base == head then return false end
  local there = redis.pcall('GETRANGE', name, 0, 19)
  return type(there) == 'string' and #there == 20 and string.sub(there, 1, 3) == 'Us\2'
    and struct.unpack('>I8', there, 5) == epoch and struct.unpack('>I8', there, 13) > base
end

local facts, at = ARGV[tags + 6], 1
for entry = 1, entries do
  local its_epoch, base, count, overtaken
  its_epoch, base, count, at = struct.unpack('>I8I8I2', facts, at)
  overtaken = not known or its_epoch ~= epoch or base > head or base < floor
  if newest > base and not overtaken then
    for place = at, at + 2 * count - 2, 2 do
      local clock = held[struct.unpack('>I2', facts, place) + 4]
      if clock and clock > base then overtaken = true end
    end
  end
  at = at + 2 * count
  if overtaken then
    answer[entry] = 1
  elseif newer_stored(KEYS[2 * entry + 1], base) then
    answer[entry] = 2
  else
    store(entry)
  end
end
return answer
