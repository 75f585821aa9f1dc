-- The waiting room of one event: every step is one call of this script, so nothing comes between looking and acting.
--
-- All keys share the event's hash tag and live on one node of a cluster. Time is Redis' own; numbers in line come from
-- one counter and never from a clock. Loops are bounded: what is left over is said and done by the next call.
--
-- KEYS meta     hash: the settings as they were last told, the counters, the lease
--      queue    sorted set: number in line -> person who waits
--      seen     sorted set: when a person who waits was last heard of, ms
--      active   sorted set: until when a person is inside, ms
--      buckets  hash: how many wait within each range of numbers
--      changes  stream: who was let in (a), left (l), stepped back (d), or that all were sent away (c); its ids count
--      numbers  hash: the number of each person inside; behind 'u' until they have noticed that they were let in
--      missed   hash: the number of who did not notice in time; they may come back to it once
--      restored set: numbers that were given back once, and will not be again
--      opening  string: who begins the order anew, while they do
-- ARGV what to do, TTL ms, time to notice ms, then what each step wants

local meta, queue, seen, active, buckets = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local changes, numbers, missed, restored, opening = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local step, ttl, claim = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local SPACING = 1024            -- as in domain::waiting_room
local BUCKET = 256 * SPACING    -- numbers of one bucket
local SCAN = 2000               -- people who wait that one call looks at, most: some milliseconds
local BATCH = 500               -- people in one command
local CREDIT_US = 500000        -- admissions that were not used are kept this long, or for one
local MOST_WAITING = 2000000    -- people in one line: some hundred MB

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]

local line = 0                  -- the line that is current, once the settings were read

local function int(number)
  return string.format('%.0f', number)
end

-- What every step needs to know of the line; nothing when Redis does not know it.
local function settings()
  local f = redis.call('HMGET', meta, 'incarnation', 'generation', 'seq', 'ceiling', 'threshold', 'lost')
  if not f[1] then return nil end
  line = f[2]
  return {
    incarnation = tonumber(f[1]), generation = tonumber(f[2]), seq = tonumber(f[3]), ceiling = tonumber(f[4]),
    threshold = tonumber(f[5]), lost = tonumber(f[6]),
  }
end

-- What only those steps need that may let somebody in.
local function rules(s)
  if s.mode then return end
  local f = redis.call('HMGET', meta, 'mode', 'interval', 'paused', 'opens', 'recovers', 'tat')
  s.mode, s.interval, s.paused = f[1], tonumber(f[2]), f[3] == '1'
  s.opens, s.recovers, s.tat = tonumber(f[4]), tonumber(f[5]), tonumber(f[6])
end

local function note(kind, user, seq, again)
  local change = redis.call('HINCRBY', meta, 'changes', 1)
  redis.call('XADD', changes, int(change) .. '-0', 'k', kind, 'u', user, 's', int(seq), 't', int(now), 'r', again, 'g', line)
end

-- Credit from which admissions are paid, where a rate is set.
local function earned_from(s)
  return math.max(s.tat, now_us - math.max(s.interval, CREDIT_US))
end

-- How many may be let in at this moment.
local function room_for(s)
  rules(s)
  if s.paused or now < s.opens or now < s.recovers then return 0 end
  local free = s.threshold - redis.call('ZCARD', active)
  if free > 0 and s.interval > 0 then
    free = math.min(free, math.floor((now_us - earned_from(s)) / s.interval))
  end
  return free
end

local function spend(s, count)
  if count > 0 and s.interval > 0 then
    s.tat = earned_from(s) + count * s.interval
    redis.call('HSET', meta, 'tat', int(s.tat))
  end
end

local function let_in(user, seq, is_here)
  local again = redis.call('SISMEMBER', restored, int(seq))
  redis.call('ZADD', active, int(now + (is_here and ttl or claim)), user)
  redis.call('HSET', numbers, user, (is_here and '' or 'u') .. int(seq))
  note('a', user, seq, again)
end

-- Takes people out of the line: users and their numbers, in the same order.
local function take_out(users, seqs)
  if #users == 0 then return end
  local less = {}
  for i = 1, #users do
    local bucket = math.floor(seqs[i] / BUCKET)
    less[bucket] = (less[bucket] or 0) + 1
  end
  for bucket, count in pairs(less) do
    if redis.call('HINCRBY', buckets, bucket, -count) <= 0 then redis.call('HDEL', buckets, bucket) end
  end
  redis.call('ZREM', queue, unpack(users))
  redis.call('ZREM', seen, unpack(users))
end

local function put_in(user, seq)
  redis.call('ZADD', queue, int(seq), user)
  redis.call('ZADD', seen, int(now), user)
  redis.call('HINCRBY', buckets, math.floor(seq / BUCKET), 1)
end

-- Lets go of people inside whose time is over.
local function put_out(users)
  redis.call('ZREM', active, unpack(users))
  local kept = redis.call('HMGET', numbers, unpack(users))
  for i, number in ipairs(kept) do
    if number and string.sub(number, 1, 1) == 'u' then
      local seq = string.sub(number, 2)
      if redis.call('SISMEMBER', restored, seq) == 0 then redis.call('HSET', missed, users[i], seq) end
    end
  end
  redis.call('HDEL', numbers, unpack(users))
end

local function clear_out(most)
  local over = redis.call('ZRANGEBYSCORE', active, '-inf', int(now), 'LIMIT', 0, math.min(most, BATCH))
  if #over > 0 then put_out(over) end
  return #over
end

-- Takes people out of the line who were silent for too long.
local function sweep()
  local swept = 0
  while swept < SCAN do
    local silent = redis.call('ZRANGEBYSCORE', seen, '-inf', int(now - ttl), 'LIMIT', 0, BATCH)
    if #silent == 0 then return swept end
    local users, seqs = {}, {}
    for i, seq in ipairs(redis.call('ZMSCORE', queue, unpack(silent))) do
      if seq then
        users[#users + 1] = silent[i]
        seqs[#seqs + 1] = tonumber(seq)
      else
        redis.call('ZREM', seen, silent[i])
      end
    end
    take_out(users, seqs)
    swept = swept + #silent
  end
  return swept
end

-- Lets people in from the head of the line, in order; who was silent for too long is passed over.
local function call_next(s, most)
  local called, scanned = {}, 0
  local free = math.min(room_for(s), most)
  while free > 0 and scanned < SCAN do
    local head = redis.call('ZRANGE', queue, 0, math.min(free + 50, BATCH) - 1, 'WITHSCORES')
    if #head == 0 then break end
    local users, seqs = {}, {}
    for i = 1, #head, 2 do
      users[#users + 1] = head[i]
      seqs[#seqs + 1] = tonumber(head[i + 1])
    end
    local heard = redis.call('ZMSCORE', seen, unpack(users))
    local out_users, out_seqs = {}, {}
    for i, user in ipairs(users) do
      if free == 0 then break end
      out_users[i], out_seqs[i] = user, seqs[i]
      if heard[i] and tonumber(heard[i]) > now - ttl then
        let_in(user, seqs[i], false)
        called[#called + 1] = user
        free = free - 1
      end
    end
    take_out(out_users, out_seqs)
    scanned = scanned + #out_users
  end
  if #called > 0 then
    spend(s, #called)
    redis.call('HINCRBY', meta, 'called', #called)
  end
  return called
end

local function place(state, s, seq, rank, till, called)
  return { state, {
    now, s.incarnation, s.generation, seq, rank, redis.call('ZCARD', queue), redis.call('ZCARD', active), s.threshold,
    till,
  }, called or {} }
end

local function cold()
  return { 'cold', { now }, {} }
end

-- Whether somebody inside is still inside; if so they are heard of.
local function still_inside(s, user)
  local till = redis.call('ZSCORE', active, user)
  if not till then return nil end
  if tonumber(till) <= now then
    put_out({ user })
    return nil
  end
  local number = redis.call('HGET', numbers, user) or '0'
  if string.sub(number, 1, 1) == 'u' then
    number = string.sub(number, 2)
    redis.call('HSET', numbers, user, number)
  end
  redis.call('ZADD', active, int(now + ttl), user)
  return place('active', s, tonumber(number), -1, now + ttl)
end

-- Whether somebody who waits still waits; if so they are heard of.
local function still_waiting(s, user)
  local seq = redis.call('ZSCORE', queue, user)
  if not seq then return nil end
  seq = tonumber(seq)
  local heard = redis.call('ZSCORE', seen, user)
  if not heard or tonumber(heard) <= now - ttl then
    take_out({ user }, { seq })
    return nil
  end
  redis.call('ZADD', seen, int(now), user)
  return place('queued', s, seq, redis.call('ZRANK', queue, user), 0)
end

-- The number somebody has a right to although they are not in line: nothing for nearly everybody. A ticket gives one
-- back, once, that was lost with the order before this one, or that this order itself has lost because it is a copy
-- which lagged behind: the rule of domain::waiting_room::ticket.
local function old_number(s, user, generation, incarnation, seq, heard)
  local was_lost = incarnation < s.incarnation and heard + ttl >= s.lost
    or incarnation == s.incarnation and seq > s.seq
  if seq > 0 and generation == s.generation and was_lost and redis.call('SADD', restored, int(seq)) == 1 then
    return seq
  end
  local number = redis.call('HGET', missed, user)
  if not number then return nil end
  redis.call('HDEL', missed, user)
  redis.call('SADD', restored, number)
  return tonumber(number)
end

-- join: waits, or comes in when nobody waits and there is room. look: only asks. enter: comes in, or is refused.
if step == 'join' or step == 'look' or step == 'enter' then
  local s = settings()
  if not s then return cold() end
  local user = ARGV[4]
  local here = still_inside(s, user) or still_waiting(s, user)
  if here then return here end
  local old = old_number(s, user, tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]))
  if old then
    if old > s.seq then
      -- The counter lost more than it knows: whoever comes after this one must be behind them.
      redis.call('HSET', meta, 'seq', int(old))
    end
    put_in(user, old)
    note('d', user, old, 1)
    return place('queued', s, old, redis.call('ZRANK', queue, user), 0)
  end
  if step == 'look' then return place('none', s, 0, -1, 0) end
  local waiting = redis.call('ZCARD', queue)
  local seq = s.seq + SPACING
  if waiting == 0 then rules(s) end
  if waiting == 0 and (step == 'join' or s.mode == 'auto') then
    local free = room_for(s)
    -- Only then does it matter whether everybody inside still is.
    if free <= 0 and clear_out(BATCH) > 0 then free = room_for(s) end
    if free > 0 then
      if seq > s.ceiling then return place('exhausted', s, s.seq, -1, 0) end
      redis.call('HSET', meta, 'seq', int(seq))
      let_in(user, seq, true)
      spend(s, 1)
      return place('active', s, seq, -1, now + ttl)
    end
  end
  if step == 'enter' then return place('none', s, 0, -1, 0) end
  if seq > s.ceiling then return place('exhausted', s, s.seq, -1, 0) end
  if waiting >= MOST_WAITING then return place('full', s, 0, -1, 0) end
  redis.call('HSET', meta, 'seq', int(seq))
  put_in(user, seq)
  return place('queued', s, seq, waiting, 0)
end

-- People whose requests or sockets were heard of: says of each whether they are inside (a), in line (q) or neither (-).
-- Somebody who was let in and has not asked since is not kept inside by a socket that nobody looks at.
if step == 'touch' then
  local s = settings()
  if not s then return { 'cold', { now }, {} } end
  local users, states = {}, {}
  for i = 4, #ARGV do users[#users + 1] = ARGV[i] end
  local inside = redis.call('ZMSCORE', active, unpack(users))
  local heard = redis.call('ZMSCORE', seen, unpack(users))
  local kept = redis.call('HMGET', numbers, unpack(users))
  local stay, wait = {}, {}
  for i, user in ipairs(users) do
    states[i] = '-'
    if inside[i] and tonumber(inside[i]) > now then
      states[i] = 'a'
      if not kept[i] or string.sub(kept[i], 1, 1) ~= 'u' then
        stay[#stay + 1] = int(now + ttl)
        stay[#stay + 1] = user
      end
    elseif heard[i] and tonumber(heard[i]) > now - ttl then
      states[i] = 'q'
      wait[#wait + 1] = int(now)
      wait[#wait + 1] = user
    end
  end
  if #stay > 0 then redis.call('ZADD', active, 'XX', unpack(stay)) end
  if #wait > 0 then redis.call('ZADD', seen, 'XX', unpack(wait)) end
  return { 'open', { now }, states }
end

-- Goes, from the line or from inside, or only from inside; the place is the next one's at once.
if step == 'leave' then
  local s = settings()
  if not s then return cold() end
  local user = ARGV[4]
  local seq = redis.call('ZSCORE', queue, user)
  if seq and ARGV[5] == 'inside' then return place('queued', s, tonumber(seq), -1, 0) end
  if seq then take_out({ user }, { tonumber(seq) }) end
  local was_inside = redis.call('ZREM', active, user)
  redis.call('HDEL', numbers, user)
  redis.call('HDEL', missed, user)
  if not seq and was_inside == 0 then return place('none', s, 0, -1, 0) end
  note('l', user, 0, 0)
  clear_out(BATCH)
  return place(seq and 'queued' or 'active', s, 0, -1, 0, call_next(s, BATCH))
end

-- Steps back by some places.
if step == 'defer' then
  local s = settings()
  if not s then return cold() end
  local user, places = ARGV[4], tonumber(ARGV[5])
  local here = still_inside(s, user) or still_waiting(s, user)
  if not here then return place('none', s, 0, -1, 0) end
  if here[1] ~= 'queued' then return here end
  local seq, rank, size = here[2][4], here[2][5], here[2][6]
  if rank == size - 1 then return here end
  local target, new = rank + places, nil
  for at = target, math.min(target + 32, size - 2) do
    local pair = redis.call('ZRANGE', queue, at, at + 1, 'WITHSCORES')
    local before, after = tonumber(pair[2]), tonumber(pair[4])
    local between = math.floor((before + after) / 2)
    if between > before then
      new = between
      break
    end
  end
  if not new then
    new = s.seq + SPACING
    if new > s.ceiling then return place('exhausted', s, s.seq, -1, 0) end
    redis.call('HSET', meta, 'seq', int(new))
  end
  take_out({ user }, { seq })
  put_in(user, new)
  note('d', user, new, 0)
  return place('queued', s, new, redis.call('ZRANK', queue, user), 0)
end

-- Claims to begin the order anew: the database is asked for numbers meanwhile, by nobody else.
if step == 'claim' then
  if redis.call('EXISTS', meta) == 1 then return { 'open', { now }, {} } end
  if redis.call('SET', opening, ARGV[4], 'NX', 'PX', ARGV[5]) then return { 'claimed', { now }, {} } end
  return { 'taken', { now }, {} }
end

-- Begins the order anew, unless the claim to do so has passed to somebody else. While the memory before may still be
-- missed by people who had a place, nobody is let in before they could bring it back.
if step == 'open' then
  if redis.call('EXISTS', meta) == 1 or redis.call('GET', opening) ~= ARGV[4] then return { 'late', { now }, {} } end
  local recovers = tonumber(ARGV[10]) + ttl > now and now + tonumber(ARGV[11]) or 0
  redis.call('DEL', queue, seen, active, buckets, changes, numbers, missed, restored, opening)
  redis.call('HSET', meta, 'incarnation', ARGV[5], 'generation', ARGV[6], 'seq', ARGV[7], 'ceiling', ARGV[8],
    'fence', ARGV[9], 'lost', ARGV[10], 'recovers', int(recovers), 'version', ARGV[12],
    'mode', ARGV[13], 'threshold', ARGV[14], 'interval', ARGV[15], 'paused', ARGV[16], 'opens', ARGV[17],
    'tat', '0', 'changes', '0', 'called', '0', 'holder', '', 'leased', '0')
  return { 'open', { now }, {} }
end

-- Tells what the database says: another line, other settings, more numbers. Then whoever may come in does.
if step == 'tell' then
  local s = settings()
  if not s then return cold() end
  local generation, ceiling, version = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  local sent_away, is_another = 0, -1
  if generation > s.generation then
    sent_away = redis.call('ZCARD', queue) + redis.call('ZCARD', active)
    redis.call('DEL', queue, seen, active, buckets, numbers, missed, restored)
    redis.call('HSET', meta, 'generation', ARGV[4], 'recovers', '0', 'emptied', sent_away)
    s.generation, is_another = generation, 0
    line = ARGV[4]
    note('c', '', 0, 0)
  elseif generation == s.generation then
    -- A report of some replica may have told so before whoever emptied the line.
    sent_away = tonumber(redis.call('HGET', meta, 'emptied') or '0')
  end
  if ceiling > s.ceiling then redis.call('HSET', meta, 'ceiling', ARGV[5]) end
  if version >= tonumber(redis.call('HGET', meta, 'version')) then
    redis.call('HSET', meta, 'version', ARGV[6], 'mode', ARGV[7], 'threshold', ARGV[8], 'interval', ARGV[9],
      'paused', ARGV[10], 'opens', ARGV[11])
    s = settings()
  end
  for _, key in ipairs(KEYS) do
    if key ~= opening then redis.call('PEXPIRE', key, 86400000) end
  end
  clear_out(BATCH)
  return place('open', s, sent_away, is_another, 0, call_next(s, BATCH))
end

-- What every replica does again and again: the one with the lease lets people in, and all of them look.
if step == 'tick' then
  local s = settings()
  if not s then return { 'cold', { now }, {}, {}, {}, {} } end
  rules(s)
  local holder, lease, wants, cursor = ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
  local held = redis.call('HMGET', meta, 'holder', 'leased', 'fence')
  local fence, leads, more, called = tonumber(held[3]), 0, 0, {}
  if held[1] == holder or tonumber(held[2]) <= now then
    leads = 1
    if held[1] ~= holder then fence = redis.call('HINCRBY', meta, 'fence', 1) end
    local over, silent = clear_out(BATCH), sweep()
    called = call_next(s, BATCH)
    -- A line in which nobody waits is looked after less often than a lease lasts, and must not change hands each time.
    if redis.call('ZCARD', queue) == 0 then lease = 2 * lease end
    redis.call('HSET', meta, 'holder', holder, 'leased', int(now + lease))
    if over >= BATCH or silent >= SCAN or #called >= BATCH then more = 1 end
  end
  local head, ranges, news = {}, {}, {}
  if wants == '1' then
    head = redis.call('ZRANGE', queue, 0, 511, 'WITHSCORES')
    if #head == 1024 then ranges = redis.call('HGETALL', buckets) end
  end
  local counters = redis.call('HMGET', meta, 'changes', 'called')
  local last, is_lost = tonumber(counters[1]), 0
  if cursor >= 0 and cursor < last then
    news = redis.call('XRANGE', changes, int(cursor + 1) .. '-0', '+', 'COUNT', 1000)
    if #news == 0 or news[1][1] ~= int(cursor + 1) .. '-0' then
      news, is_lost = {}, 1
    elseif #news == 1000 then
      more = 1
    end
  end
  local flat = {}
  for _, entry in ipairs(news) do
    flat[#flat + 1] = entry[2][2]
    flat[#flat + 1] = entry[2][4]
    flat[#flat + 1] = entry[2][6]
  end
  local read = cursor < 0 and last or is_lost == 1 and last or cursor + #news
  return { 'open', {
    now, s.incarnation, s.generation, s.seq, s.ceiling, s.threshold, s.opens, s.recovers, s.paused and 1 or 0,
    redis.call('ZCARD', queue), redis.call('ZCARD', active), leads, fence, more, is_lost, read, last,
    tonumber(counters[2]),
  }, called, head, ranges, flat }
end

-- Forgets an order that nobody is in.
if step == 'close' then
  if redis.call('ZCARD', queue) + redis.call('ZCARD', active) > 0 then return { 'open', { now }, {} } end
  if tonumber(redis.call('HGET', meta, 'changes') or '0') > tonumber(ARGV[4]) then return { 'open', { now }, {} } end
  redis.call('DEL', unpack(KEYS))
  return { 'closed', { now }, {} }
end

-- Forgets an order that is of the past: the database has begun another since.
if step == 'wipe' then
  if redis.call('HGET', meta, 'incarnation') == ARGV[4] then redis.call('DEL', unpack(KEYS)) end
  return { 'closed', { now }, {} }
end

return redis.error_reply('unknown step')
