-- KEYS state, log · drops a state that another run has begun. The node has just asked the server for its run.
if not redis.call('ZSCORE', KEYS[1], RUN) then
  redis.call('DEL', KEYS[1], KEYS[2])
end
return 0
