-- Count an attempt as a failure until it is settled, unless somebody has to wait: core.throttling.failed_once_more.
-- KEYS: whether the pair succeeded lately, then failures of pair, account, address.
-- ARGV: now; seconds after which one is forgiven, and number of delays, for an account, then for an address;
-- the delays after 0, 1, 2, … failures of an account, then of an address.
-- Gives the seconds to wait, and 1 where only the pair counts.
local now = tonumber(ARGV[1])

local function read(key)
  local kept = redis.call('HMGET', key, 'count', 'at', 'until')
  return tonumber(kept[1] or 0), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
end

local function delay_after(count, first, number)
  return tonumber(ARGV[first + math.min(math.ceil(count - 1e-6), number - 1)])
end

local function fail(key, forgiven_every, first, number)
  local count, at, wait_until = read(key)
  count = math.max(0, count - math.max(0, now - at) / forgiven_every) + 1
  wait_until = math.max(wait_until, now + delay_after(count, first, number))
  redis.call('HSET', key, 'count', string.format('%.6f', count), 'at', string.format('%.6f', now),
    'until', string.format('%.6f', wait_until))
  redis.call('EXPIRE', key, math.ceil(math.max(count * forgiven_every, wait_until - now)) + 1)
end

local function wait_of(key)
  local _, _, wait_until = read(key)
  return wait_until - now
end

local account_every, account_number = tonumber(ARGV[2]), tonumber(ARGV[3])
local address_every, address_number = tonumber(ARGV[4]), tonumber(ARGV[5])

if redis.call('EXISTS', KEYS[1]) == 1 then
  local wait = wait_of(KEYS[2])
  if wait <= 0 then fail(KEYS[2], account_every, 6, account_number) end
  return {string.format('%.6f', math.max(0, wait)), 1}
end
local wait = math.max(wait_of(KEYS[3]), wait_of(KEYS[4]))
if wait <= 0 then
  fail(KEYS[3], account_every, 6, account_number)
  fail(KEYS[4], address_every, 6 + account_number, address_number)
end
return {string.format('%.6f', math.max(0, wait)), 0}
