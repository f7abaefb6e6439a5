#!lua flags=allow-oom
-- KEYS state · ARGV the configuration that calls another server the primary · → whether this one did not know
-- Puts something in the place of the state that no script can use. A replica refuses this script, as it does all others.
if redis.call('TYPE', KEYS[1]).ok == 'string' then
  local since = tonumber(string.match(redis.call('GET', KEYS[1]), '^replaced:(%d+)$'))
  if since and since >= tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], 'replaced:' .. ARGV[1])
return 1
