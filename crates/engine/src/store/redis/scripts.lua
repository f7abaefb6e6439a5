-- Shared by all scripts. What a partition must not forget stands in one sorted set (KEYS[1]), so that it cannot be lost
-- in part: the tags' clocks as positive scores, and as negative ones (-value - 1) five fields whose names are no tag's:
-- sequence, floor, epoch, the number of partitions, and the server's run that the epoch was begun in. Run and number
-- are part of the epoch's name too: to find it is to know that they agree.
-- A script belongs to one run of one server: its text holds the run's id, so that a server that was restarted, or
-- another in its place, answers NOSCRIPT instead of going on where an old snapshot ends. A script that finds no
-- state of its run says so: perhaps it is the script that is of the past.
local RUN = 'run:@RUN@'
local EPOCH = 'epoch:@RUN@:@PARTITIONS@'
local FIELDS = 5

local function begin_epoch(epoch)
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('ZADD', KEYS[1], -1, 's', -1, 'f', -(epoch + 1), EPOCH, -(@PARTITIONS@ + 1), 'n', -1, RUN)
  return 0, epoch
end

-- Sequence and epoch; else nothing, and an error. That there is no state of this run is an error too: only begin.lua
-- begins one, when the node has made sure of who the server is.
local function state()
  local held = redis.call('ZMSCORE', KEYS[1], 's', 'f', EPOCH)
  if held[1] and held[2] and held[3] then
    return -held[1] - 1, -held[3] - 1
  end
  local other = redis.call('ZMSCORE', KEYS[1], RUN, 'n')
  if other[1] and other[2] and -other[2] - 1 ~= @PARTITIONS@ then
    return nil, redis.error_reply('PARTITIONS the log has ' .. string.format('%d', -other[2] - 1)
      .. ' partitions, this node is set to @PARTITIONS@; give all nodes of a namespace the same number')
  end
  return nil, redis.error_reply('OTHERRUN there is no state of this run of the server')
end
