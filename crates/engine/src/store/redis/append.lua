-- KEYS state, log · ARGV partitions, epoch for a new state (high, low), clocks kept, records kept, channel, message,
-- record, tags… → epoch (high, low), sequence
local sequence, high, low = state(tonumber(ARGV[1]))
if not sequence then
  if high then return high end
  sequence, high, low = begin_epoch(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
end
sequence = sequence + 1
local set = { 'ZADD', KEYS[1], -(sequence + 1), 's' }
for at = 9, #ARGV do
  set[#set + 1] = sequence
  set[#set + 1] = ARGV[at]
end
redis.call(unpack(set))

-- The oldest clocks go, some more than needed so that not every record prunes; the floor rises to the last of them.
local clocks_max = tonumber(ARGV[4])
local clocks = redis.call('ZCARD', KEYS[1]) - FIELDS
if clocks > clocks_max then
  local excess = clocks - clocks_max + math.floor(clocks_max / 16)
  local last = FIELDS + excess - 1
  local floor = redis.call('ZRANGE', KEYS[1], last, last, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYRANK', KEYS[1], FIELDS, last)
  redis.call('ZADD', KEYS[1], -(floor + 1), 'f')
end

local records = redis.call('RPUSH', KEYS[2], struct.pack('>I4I4I8', high, low, sequence) .. ARGV[8])
if records > tonumber(ARGV[5]) then
  redis.call('LPOP', KEYS[2], records - tonumber(ARGV[5]))
end
redis.call('PUBLISH', ARGV[6], ARGV[7])
return { high, low, sequence }
