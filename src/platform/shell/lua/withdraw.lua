-- Take tokens out of a bucket: core.throttling.withdrawn, for all processes at once.
-- KEYS: bucket. ARGV: now, tokens per second, burst, tokens wanted. Gives tokens granted, tokens left.
local now, per_second, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1] or burst), tonumber(kept[2] or now)
tokens = math.min(burst, tokens + math.max(0, now - at) * per_second)
local granted = math.min(tonumber(ARGV[4]), math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', math.max(at, now)))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * burst / per_second) + 1000)
return {granted, string.format('%.6f', tokens)}
