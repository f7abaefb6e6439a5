-- KEYS state, log · ARGV the new epoch, or '' to ask whether one may be begun; the configuration that calls this server
-- the owner · → 0
-- Begins an epoch, unless one of this run and this number of partitions is there already; what is no list in the place
-- of its log would refuse every record, and is taken for a log that is lost. The node has just asked the server for its
-- run, and has told all others that they are replaced.
local since
if redis.call('TYPE', KEYS[1]).ok == 'string' then
  since = tonumber(string.match(redis.call('GET', KEYS[1]), '^replaced:(%d+)$'))
  if since and tonumber(ARGV[2]) <= since then
    return redis.error_reply('REPLACED since configuration ' .. since .. ' another server is the primary')
  end
end
if ARGV[1] == '' then return 0 end
if since then redis.call('DEL', KEYS[1]) end
local sequence, lack = state()
local log = redis.call('TYPE', KEYS[2]).ok
if sequence and (log == 'list' or log == 'none') then return 0 end
if not sequence and string.find(lack.err, 'PARTITIONS', 1, true) then return lack end
begin_epoch(tonumber(ARGV[1]))
return 0
