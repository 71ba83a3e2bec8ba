-- Count an attempt as a failure until it is settled, unless somebody has to wait: core.throttling.failed_once_more.
-- KEYS: whether the pair succeeded lately, then failures of pair, account, address.
-- ARGV: now; seconds after which one is forgiven, and how many are free, for an account, then for an address;
-- the delays after the first that is not free, the second, and so on, the last for all that follow.
-- Gives the seconds to wait, 1 where only the pair counts, and what has to wait: "account", "address", or nothing where
-- that was told within the last quarter of an hour.
local TOLD_SECONDS = 900
local now = tonumber(ARGV[1])
local account = {forgiven_every = tonumber(ARGV[2]), free = tonumber(ARGV[3])}
local address = {forgiven_every = tonumber(ARGV[4]), free = tonumber(ARGV[5])}

local function read(key)
  local kept = redis.call('HMGET', key, 'count', 'at', 'until')
  return tonumber(kept[1] or 0), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
end

local function delay_after(count, free)
  local beyond = math.ceil(count - 1e-6) - free
  if beyond <= 0 then return 0 end
  return tonumber(ARGV[math.min(5 + beyond, #ARGV)])
end

local function fail(key, patience)
  local count, at, wait_until = read(key)
  count = math.max(0, count - math.max(0, now - at) / patience.forgiven_every) + 1
  local delay = delay_after(count, patience.free)
  if delay > 0 then wait_until = math.max(wait_until, now + delay) end
  redis.call('HSET', key, 'count', string.format('%.6f', count), 'at', string.format('%.6f', now),
    'until', string.format('%.6f', wait_until))
  redis.call('EXPIRE', key, math.ceil(math.max(count * patience.forgiven_every, wait_until - now)) + 1)
end

local function wait_of(key)
  local _, _, wait_until = read(key)
  return wait_until - now
end

local function held(wait, key, name)
  if wait > 0 and redis.call('SET', key .. ':told', 1, 'NX', 'EX', TOLD_SECONDS) then return name end
  return ''
end

if redis.call('EXISTS', KEYS[1]) == 1 then
  local wait = wait_of(KEYS[2])
  if wait <= 0 then fail(KEYS[2], account) end
  return {string.format('%.6f', math.max(0, wait)), 1, held(wait, KEYS[2], 'account')}
end
local by_account, by_address = wait_of(KEYS[3]), wait_of(KEYS[4])
local wait = math.max(by_account, by_address)
if wait <= 0 then
  fail(KEYS[3], account)
  fail(KEYS[4], address)
end
if by_address > by_account then return {string.format('%.6f', math.max(0, wait)), 0, held(wait, KEYS[4], 'address')} end
return {string.format('%.6f', math.max(0, wait)), 0, held(wait, KEYS[3], 'account')}
