-- Shared by all scripts. What a partition must not forget stands in one sorted set (KEYS[1]), so that it cannot be lost
-- in part: the tags' clocks as positive scores, and as negative ones (-value - 1) six fields whose names are no tag's:
-- sequence, floor, the epoch's halves, the partitions' number, and the server's run that the epoch was begun in.
-- A script belongs to one run of one server: its text holds the run's id, so that a server that was restarted, or
-- another in its place, answers NOSCRIPT instead of going on where an old snapshot ends.
local RUN = 'run:@RUN@'
local FIELDS = 6

local function begin_epoch(partitions, high, low)
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('ZADD', KEYS[1], -1, 's', -1, 'f', -(high + 1), 'eh', -(low + 1), 'el',
    -(partitions + 1), 'n', -1, RUN)
  return 0, high, low
end

-- Sequence and epoch; an error if the nodes disagree on the number of partitions; nothing if there is no state.
local function state(partitions)
  local held = redis.call('ZMSCORE', KEYS[1], 's', 'f', 'eh', 'el', RUN, 'n')
  for at = 1, FIELDS do
    if not held[at] then return nil end
  end
  if -held[6] - 1 ~= partitions then
    return nil, redis.error_reply('PARTITIONS the log has ' .. string.format('%d', -held[6] - 1)
      .. ' partitions, this node is set to ' .. string.format('%d', partitions)
      .. '; give all nodes of a namespace the same number')
  end
  return -held[1] - 1, -held[3] - 1, -held[4] - 1
end
