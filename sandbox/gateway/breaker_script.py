"""The circuit breaker as the Redis server runs it: `CircuitBreaker` rule for rule, on what all processes report.

It takes what has happened in order and answers with the state. Each happening carries its moment by the server's clock
in microseconds, as whole numbers, which Lua's doubles hold exactly; they are written by %.0f, because Lua would round
them to 14 digits.
"""

from __future__ import annotations

from typing import Final

from sandbox.shared.link import Script

KEPT_S: Final = 7 * 86_400
"""A breaker that nobody has asked for this long is forgotten."""

# KEYS: the state, the failures, the calls, the probes, the changes, the happenings seen of this process.
# ARGV: the policy; the moment; the generation that the process knows; what has happened.
STEP: Final = Script(
    """
local STATE, FAILURES, CALLS, PROBES, CHANGES, SEEN = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local policy = cjson.decode(ARGV[1])
local known = tonumber(ARGV[3])
local happened = cjson.decode(ARGV[4])
local fresh = redis.call('EXISTS', STATE) == 0

local s = {state = policy.mode == 'off' and 'disabled' or 'closed'}
local names = {'generation', 'till', 'reopens', 'row', 'successes', 'failed', 'slow'}
for _, name in ipairs(names) do s[name] = 0 end
if not fresh then
  s.state = redis.call('HGET', STATE, 'state')
  local kept = redis.call('HMGET', STATE, unpack(names))
  for place, name in ipairs(names) do s[name] = tonumber(kept[place]) end
end

local function whole(number) return string.format('%.0f', number) end
local function micros(seconds) return math.floor(seconds * 1000000 + 0.5) end
local tracks = policy.mode == 'rate' or policy.slow_call_seconds ~= nil

local function change(to, reason)
  local from = s.state
  s.state = to
  s.generation = s.generation + 1
  s.row, s.successes, s.failed, s.slow = 0, 0, 0, 0
  redis.call('DEL', FAILURES, CALLS, PROBES)
  local till = to == 'open' and whole(s.till) or ''
  redis.call('RPUSH', CHANGES, cjson.encode({s.generation, from, to, reason, till}))
  redis.call('LTRIM', CHANGES, -50, -1)
end

local function open(reason, now, retry_after)
  local growth = policy.backoff_multiplier ^ math.min(s.reopens, 64)
  local most = math.max(policy.max_recovery_timeout, policy.recovery_timeout)
  local pause = math.min(policy.recovery_timeout * growth, most)
  s.till = now + micros(math.max(pause, retry_after or 0))
  change('open', reason)
end

local function reopen(reason, now, retry_after)
  s.reopens = s.reopens + 1
  open(reason, now, retry_after)
end

local function forget_old(now)
  while true do
    local first = redis.call('LINDEX', CALLS, 0)
    if not first then return end
    local till, failed, slow = string.match(first, '(%d+):(%d):(%d)')
    if now < tonumber(till) then return end
    redis.call('LPOP', CALLS)
    s.failed = s.failed - tonumber(failed)
    s.slow = s.slow - tonumber(slow)
  end
end

local function count_call(failed, now, seconds, retry_after)
  local slow = (policy.slow_call_seconds and seconds >= policy.slow_call_seconds) and 1 or 0
  redis.call('RPUSH', CALLS, whole(now + micros(policy.window)) .. ':' .. failed .. ':' .. slow)
  s.failed = s.failed + failed
  s.slow = s.slow + slow
  forget_old(now)
  local total = redis.call('LLEN', CALLS)
  if total < policy.minimum_calls then return end
  local within = total .. ' calls %s within ' .. policy.window_text .. ' s'
  if policy.mode == 'rate' and s.failed > 0 and s.failed / total >= policy.failure_rate then
    open(s.failed .. ' of ' .. string.format(within, 'failed'), now, retry_after)
  elseif s.slow > 0 and s.slow / total >= policy.slow_call_rate then
    open(s.slow .. ' of ' .. string.format(within, 'were slow'), now, retry_after)
  end
end

local doing = {}

-- A call was admitted as a probe, by what its process knew. It is under way, so it counts here too.
function doing.admit(h)
  if s.state == 'open' and h.generation == s.generation + 1 then change('half_open', 'recovery time passed') end
  if s.state == 'half_open' and h.generation == s.generation then
    redis.call('ZADD', PROBES, whole(h.now + micros(policy.probe_lease)), h.token)
  end
end

function doing.success(h)
  if h.generation ~= s.generation then return end
  if s.state == 'closed' then
    s.row = 0
    if tracks then count_call(0, h.now, h.seconds) end
  elseif s.state == 'half_open' then
    redis.call('ZREM', PROBES, h.token)
    if policy.slow_call_seconds and h.seconds >= policy.slow_call_seconds then
      reopen(string.format('a probe took %.3g s', h.seconds), h.now)
      return
    end
    s.successes = s.successes + 1
    if s.successes >= policy.success_threshold then
      s.reopens = 0
      change('closed', 'probe succeeded')
    end
  end
end

function doing.failure(h)
  if h.generation ~= s.generation then
    if s.state == 'open' and h.retry_after then s.till = math.max(s.till, h.now + micros(h.retry_after)) end
    return
  end
  if s.state == 'half_open' then
    redis.call('ZREM', PROBES, h.token)
    reopen('probe failed', h.now, h.retry_after)
  elseif s.state == 'closed' then
    if policy.mode == 'consecutive' then
      s.row = s.row + 1
      if s.row >= policy.failure_threshold then
        open(s.row .. ' failures in a row', h.now, h.retry_after)
        return
      end
    elseif policy.mode == 'window' then
      local most = math.max(1, policy.failure_threshold)
      redis.call('RPUSH', FAILURES, whole(h.now + micros(policy.window)))
      redis.call('LTRIM', FAILURES, -most, -1)
      if redis.call('LLEN', FAILURES) == most and h.now < tonumber(redis.call('LINDEX', FAILURES, 0)) then
        open(most .. ' failures within ' .. policy.window_text .. ' s', h.now, h.retry_after)
        return
      end
    end
    if tracks then count_call(1, h.now, h.seconds, h.retry_after) end
  end
end

function doing.neutral(h)
  if h.generation == s.generation and s.state == 'half_open' then redis.call('ZREM', PROBES, h.token) end
end

function doing.by_hand(h)
  if h.to == 'closed' then
    s.reopens = 0
    change(policy.mode == 'off' and 'disabled' or 'closed', h.reason)
  else
    change(h.to, h.reason)
  end
end

-- The server has lost what the process still knows.
function doing.restore(h)
  if s.generation ~= 0 then return end
  if h.till ~= '' then s.till = tonumber(h.till) end
  change(h.to, h.reason)
end

local seen = tonumber(redis.call('GET', SEEN) or '0')
for _, h in ipairs(happened) do
  if h.number > seen then
    seen = h.number
    doing[h.kind](h)
  end
end
if #happened > 0 then redis.call('SET', SEEN, whole(seen), 'EX', KEPT) end

local now = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', PROBES, '-inf', whole(now))
local failures = s.row
if policy.mode == 'window' then
  failures = 0
  for _, till in ipairs(redis.call('LRANGE', FAILURES, 0, -1)) do
    if now < tonumber(till) then failures = failures + 1 end
  end
elseif policy.mode ~= 'consecutive' then
  forget_old(now)
  failures = s.failed
end
local written = {'state', s.state}
for _, name in ipairs(names) do
  written[#written + 1] = name
  written[#written + 1] = whole(s[name])
end
redis.call('HSET', STATE, unpack(written))
for place = 1, 5 do redis.call('EXPIRE', KEYS[place], KEPT) end

local changes = {}
if known ~= s.generation then
  for _, one in ipairs(redis.call('LRANGE', CHANGES, 0, -1)) do
    if cjson.decode(one)[1] > known then changes[#changes + 1] = one end
  end
end
return {s.state, whole(s.generation), whole(s.till), failures, redis.call('ZCARD', PROBES), fresh and 1 or 0, changes}
""".replace("KEPT", str(KEPT_S))
)

GENERATIONS: Final = Script(
    """
local found = {}
for place, key in ipairs(KEYS) do found[place] = redis.call('HGET', key, 'generation') or '0' end
return found
"""
)
"""Of many breakers, to see which have changed. KEYS: their states."""
