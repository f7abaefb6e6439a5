-- KEYS state, log · ARGV epoch for a new state, the reader's epoch and sequence, records wanted
-- → epoch, sequence, records…
local sequence, epoch = state()
if not sequence then return epoch end
local readers, after = tonumber(ARGV[2]), tonumber(ARGV[3])
-- A reader ahead of the log has seen what the server has forgotten.
if epoch == readers and after > sequence then
  sequence, epoch = begin_epoch(tonumber(ARGV[1]))
end
local answer = { epoch, sequence }
local behind = sequence - after
if epoch == readers and behind > 0 then
  -- From the end: a log that was lost and begun again still ends at the sequence. A page that begins too late is the
  -- reader's to recognise.
  local last = math.min(tonumber(ARGV[4]) - behind - 1, -1)
  for at, record in ipairs(redis.call('LRANGE', KEYS[2], -behind, last)) do
    answer[at + 2] = record
  end
end
return answer
