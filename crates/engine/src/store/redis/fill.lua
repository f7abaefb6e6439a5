-- KEYS state, entry · ARGV epoch (high, low), base, lifetime in ms, the encoded entry, tags…
-- → 0 stored, 1 overtaken, 2 a newer one is stored
local ask = { 'ZMSCORE', KEYS[1], 's', 'f', 'eh', 'el', RUN }
for at = 6, #ARGV do ask[#ask + 1] = ARGV[at] end
local held = redis.call(unpack(ask))
for at = 1, 5 do
  if not held[at] then return 1 end
end
local base = tonumber(ARGV[3])
if -held[3] - 1 ~= tonumber(ARGV[1]) or -held[4] - 1 ~= tonumber(ARGV[2]) then return 1 end
if base > -held[1] - 1 or base < -held[2] - 1 then return 1 end
for at = 6, #ARGV do
  local clock = held[at]
  if clock and tonumber(clock) > base then return 1 end
end
-- The same magic and epoch, and a higher base: see entry.rs for the places.
local there = redis.pcall('GETRANGE', KEYS[2], 0, 19)
if type(there) == 'string' and #there == 20 and string.sub(there, 1, 3) == string.sub(ARGV[5], 1, 3)
  and string.sub(there, 5, 12) == string.sub(ARGV[5], 5, 12) and struct.unpack('>I8', there, 13) > base then
  return 2
end
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[4])
return 0
