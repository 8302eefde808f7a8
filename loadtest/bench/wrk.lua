-- wrk's requests, read from a file before the clock starts. Arguments: the file, with a zero byte after each request;
-- the mean pause between the requests of a connection, in ms (0: none); how many answers end the run early (0: none).

local requests = {}
local at = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for request in file:read("*a"):gmatch("([^%z]+)%z") do requests[#requests + 1] = request end
  file:close()
  math.randomseed(7)
  local mean_ms = tonumber(args[2])
  if mean_ms > 0 then
    delay = function() return math.random(0, 2 * mean_ms) end
  end
  local most = tonumber(args[3] or "0")
  if most > 0 then
    local ffi = require("ffi")
    ffi.cdef("int getpid(void); int kill(int, int);")
    local answered = 0
    response = function()
      answered = answered + 1
      if answered == most then ffi.C.kill(ffi.C.getpid(), 2) end -- SIGINT: the only end before its whole seconds are over
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"hits":%d,"failed":%d,"us":%d,"p50_us":%d,"p99_us":%d,"p99_9_us":%d}\n',
    summary.requests, errors.connect + errors.read + errors.write + errors.status + errors.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
