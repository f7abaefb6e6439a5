-- KEYS state, log · ARGV partitions, epoch for a new state (high, low), the reader's epoch (high, low) and sequence,
-- records wanted → epoch (high, low), sequence, records…
local sequence, high, low = state(tonumber(ARGV[1]))
if not sequence and high then return high end
local after = tonumber(ARGV[6])
-- A reader ahead of the log has seen what the server has forgotten.
local ahead = sequence and high == tonumber(ARGV[4]) and low == tonumber(ARGV[5]) and after > sequence
if not sequence or ahead then
  sequence, high, low = begin_epoch(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
end
local answer = { high, low, sequence }
local behind = sequence - after
if high == tonumber(ARGV[4]) and low == tonumber(ARGV[5]) and behind > 0 then
  -- From the end: a log that was lost and begun again still ends at the sequence. A page that begins too late is the
  -- reader's to recognise.
  local last = math.min(tonumber(ARGV[7]) - behind - 1, -1)
  for at, record in ipairs(redis.call('LRANGE', KEYS[2], -behind, last)) do
    answer[at + 3] = record
  end
end
return answer
