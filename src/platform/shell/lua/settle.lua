-- Settle an attempt that was no failure. ARGV: 1 for a success, and for how many seconds it is remembered.
-- KEYS: whether the pair succeeded lately, then the failures that were counted, the account's or pair's first.
local first = 2
if ARGV[1] == '1' then
  redis.call('SET', KEYS[1], 1, 'EX', ARGV[2])
  redis.call('DEL', KEYS[2])
  first = 3
end
for index = first, #KEYS do
  local count = tonumber(redis.call('HGET', KEYS[index], 'count') or 0)
  if count > 0 then
    redis.call('HSET', KEYS[index], 'count', string.format('%.6f', math.max(0, count - 1)), 'until', 0)
  end
end
return {1}
