-- KEYS state, log · ARGV (none), clocks kept, records kept, channel, message, record, tags…
-- → epoch, sequence
local sequence, epoch = state()
if not sequence then return epoch end
sequence = sequence + 1
local set = { 'ZADD', KEYS[1], -(sequence + 1), 's' }
for at = 7, #ARGV do
  set[#set + 1] = sequence
  set[#set + 1] = ARGV[at]
end
redis.call(unpack(set))

-- The oldest clocks go, some more than needed so that not every record prunes; the floor rises to the last of them.
local clocks_max = tonumber(ARGV[2])
local clocks = redis.call('ZCARD', KEYS[1]) - FIELDS
if clocks > clocks_max then
  local excess = clocks - clocks_max + math.floor(clocks_max / 16)
  local last = FIELDS + excess - 1
  local floor = redis.call('ZRANGE', KEYS[1], last, last, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYRANK', KEYS[1], FIELDS, last)
  redis.call('ZADD', KEYS[1], -(floor + 1), 'f')
end

local records = redis.call('RPUSH', KEYS[2], struct.pack('>I8I8', epoch, sequence) .. ARGV[6])
if records > tonumber(ARGV[3]) then
  redis.call('LPOP', KEYS[2], records - tonumber(ARGV[3]))
end
redis.call('SPUBLISH', ARGV[4], ARGV[5])
return { epoch, sequence }
