-- KEYS state, log · ARGV clocks kept, records kept, channel, the records for the message, number of records, and for
-- each record: its bytes, the number of tags whose last record it is, and these tags
-- → epoch, sequence of the last record
local sequence, epoch = state()
if not sequence then return epoch end
local records = tonumber(ARGV[5])
local set = { 'ZADD', KEYS[1], -(sequence + records + 1), 's' }
local push = { 'RPUSH', KEYS[2] }
local at, size = 6, 4
for record = 1, records do
  sequence = sequence + 1
  push[record + 2] = struct.pack('>I8I8', epoch, sequence) .. ARGV[at]
  -- As text once, not once for each tag.
  local clock = string.format('%.0f', sequence)
  local last = at + 1 + ARGV[at + 1]
  for tag = at + 2, last do
    set[size + 1] = clock
    set[size + 2] = ARGV[tag]
    size = size + 2
  end
  at = last + 1
end
redis.call(unpack(set))

-- The oldest clocks go, some more than needed so that not every record prunes; the floor rises to the last of them.
local clocks_max = tonumber(ARGV[1])
local clocks = redis.call('ZCARD', KEYS[1]) - FIELDS
if clocks > clocks_max then
  local excess = clocks - clocks_max + math.floor(clocks_max / 16)
  local last = FIELDS + excess - 1
  local floor = redis.call('ZRANGE', KEYS[1], last, last, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYRANK', KEYS[1], FIELDS, last)
  redis.call('ZADD', KEYS[1], -(floor + 1), 'f')
end

local kept = redis.call(unpack(push))
if kept > tonumber(ARGV[2]) then
  redis.call('LPOP', KEYS[2], kept - tonumber(ARGV[2]))
end
redis.call('SPUBLISH', ARGV[3], struct.pack('>I8I8', epoch, sequence) .. ARGV[4])
return { epoch, sequence }
