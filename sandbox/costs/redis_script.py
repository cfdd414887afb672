"""The ledgers on the Redis server: what one call of a process does there, in one step that nothing comes between.

Amounts are whole picodollars of up to 19 digits. Lua's numbers hold 15, so amounts stay text: HINCRBY adds them
exactly, and two of them are compared by their length, then by their digits. All keys have one hash tag, so that a
cluster keeps them on one node.
"""

from __future__ import annotations

from typing import Final

from sandbox.shared.link import Script

KEPT_S: Final = 100 * 86_400
"""A ledger is forgotten this long after its last change: a month, and time to look back."""
SEEN_KEPT_S: Final = 7 * 86_400
"""How long a process may be away and still not book twice what it has booked before."""

# KEYS[1]: names these ledgers; made anew when they are. ARGV: the common beginning of all keys; who calls; the name
# that it knows, or ''; a name for new ledgers; its operations. Answers with the name; and, unless that is another than
# is known, in which case nothing is done, with the results of its questions and the last state of their ledgers.
BOOK: Final = Script(
    """
local base, who, known, fresh = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ops = cjson.decode(ARGV[5])
local MOST = '9223372036854775807'

local made = redis.call('GET', KEYS[1])
if not made then
  made = fresh
  redis.call('SET', KEYS[1], made)
end
if known ~= '' and known ~= made then return {made} end

local function ledger(period, scope) return base .. ':ledger:' .. period .. ':' .. scope end

local function add(key, field, amount)
  if amount == '0' then return end
  local told = redis.pcall('HINCRBY', key, field, amount)
  if type(told) == 'table' and told.err then redis.call('HSET', key, field, MOST) end
  if string.sub(redis.call('HGET', key, field), 1, 1) == '-' then redis.call('HSET', key, field, '0') end
  redis.call('EXPIRE', key, KEPT)
end

local function of(key)
  local both = redis.call('HMGET', key, 'used', 'reserved')
  return both[1] or '0', both[2] or '0'
end

local function within(a, b)
  if #a ~= #b then return #a < #b end
  return a <= b
end

local function fits(period, limits, amount)
  if amount == '0' then amount = '1' end
  for _, limit in ipairs(limits) do
    local used, reserved = of(ledger(period, limit[1]))
    redis.call('HSET', base .. ':sum', 's', used)
    for _, more in ipairs({reserved, amount}) do
      local told = redis.pcall('HINCRBY', base .. ':sum', 's', more)
      if type(told) == 'table' and told.err then return false end
    end
    if not within(redis.call('HGET', base .. ':sum', 's'), limit[2]) then return false end
  end
  return true
end

local function release(id)
  local hold = redis.call('HGET', base .. ':holds', id)
  if not hold then return end
  hold = cjson.decode(hold)
  for _, scope in ipairs(hold.scopes) do
    if hold.amount ~= '0' then add(ledger(hold.period, scope), 'reserved', '-' .. hold.amount) end
  end
  redis.call('HDEL', base .. ':holds', id)
  redis.call('ZREM', base .. ':ends', id)
end

local function let_go(now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':ends', '-inf', now)) do release(id) end
end

local doing = {}

-- Reserve: the first of the amounts that fits.
function doing.r(op)
  let_go(op.now)
  local granted = 0
  for place, amount in ipairs(op.amounts) do
    if fits(op.period, op.limits, amount) then
      granted = place
      local scopes = {}
      for _, limit in ipairs(op.limits) do
        scopes[#scopes + 1] = limit[1]
        add(ledger(op.period, limit[1]), 'reserved', amount)
      end
      local hold = {period = op.period, scopes = scopes, amount = amount}
      redis.call('HSET', base .. ':holds', op.id, cjson.encode(hold))
      redis.call('ZADD', base .. ':ends', op.expires, op.id)
      break
    end
  end
  return granted
end

-- Settle.
function doing.s(op)
  if op.id ~= '' then release(op.id) end
  for _, scope in ipairs(op.scopes) do add(ledger(op.period, scope), 'used', op.cost) end
end

-- Extend: who holds has decided already. Without an id time has passed, and that is all.
function doing.x(op)
  let_go(op.now)
  local hold = op.id ~= '' and redis.call('HGET', base .. ':holds', op.id)
  if not hold then return end
  hold = cjson.decode(hold)
  for _, scope in ipairs(hold.scopes) do add(ledger(hold.period, scope), 'reserved', op.more) end
  hold.amount = op.amount
  redis.call('HSET', base .. ':holds', op.id, cjson.encode(hold))
end

-- Claim.
function doing.c(op)
  local key = base .. ':claims:' .. op.period .. ':' .. op.scope
  redis.call('SADD', key, op.mark)
  redis.call('EXPIRE', key, KEPT)
end

-- Begin: no less than this was used.
function doing.b(op)
  for _, limit in ipairs(op.limits) do
    local key = ledger(op.period, limit[1])
    local used = of(key)
    if not within(limit[2], used) then
      redis.call('HSET', key, 'used', limit[2])
      redis.call('EXPIRE', key, KEPT)
    end
  end
  return 0
end

-- Get the balances.
function doing.g(op)
  let_go(op.now)
  return 0
end

local seen = tonumber(redis.call('GET', base .. ':seen:' .. who) or '0')
local last = seen
local results, asked = {}, {}
for _, op in ipairs(ops) do
  if op.limits then
    local result = {doing[op.kind](op)}
    for _, limit in ipairs(op.limits) do
      local used, reserved = of(ledger(op.period, limit[1]))
      result[#result + 1] = used
      result[#result + 1] = reserved
      asked[#asked + 1] = {op.period, limit[1]}
    end
    results[#results + 1] = result
  elseif op.number > seen then
    doing[op.kind](op)
    last = op.number
  end
end
if last > seen then redis.call('SET', base .. ':seen:' .. who, string.format('%.0f', last), 'EX', SEEN) end
redis.call('DEL', base .. ':sum')

local now = {}
for _, one in ipairs(asked) do
  local used, reserved = of(ledger(one[1], one[2]))
  now[#now + 1] = {one[1], one[2], used, reserved,
    redis.call('SMEMBERS', base .. ':claims:' .. one[1] .. ':' .. one[2])}
end
return {made, results, now}
""".replace("KEPT", str(KEPT_S)).replace("SEEN", str(SEEN_KEPT_S))
)
