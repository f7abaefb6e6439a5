-- KEYS state, entry · ARGV epoch, base, lifetime in ms, the encoded entry, tags…
-- → 0 stored, 1 overtaken, 2 a newer one is stored
local ask = { 'ZMSCORE', KEYS[1], 's', 'f', EPOCH }
for at = 5, #ARGV do ask[#ask + 1] = ARGV[at] end
local held = redis.call(unpack(ask))
if not (held[1] and held[2] and held[3]) then return 1 end
local base = tonumber(ARGV[2])
if -held[3] - 1 ~= tonumber(ARGV[1]) then return 1 end
if base > -held[1] - 1 or base < -held[2] - 1 then return 1 end
-- One clock for each tag asked for, after the three fields.
for at = 4, #ARGV - 1 do
  local clock = held[at]
  if clock and tonumber(clock) > base then return 1 end
end
-- The same magic and epoch, and a higher base: see entry.rs for the places.
local there = redis.pcall('GETRANGE', KEYS[2], 0, 19)
if type(there) == 'string' and #there == 20 and string.sub(there, 1, 3) == string.sub(ARGV[4], 1, 3)
  and string.sub(there, 5, 12) == string.sub(ARGV[4], 5, 12) and struct.unpack('>I8', there, 13) > base then
  return 2
end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
return 0
