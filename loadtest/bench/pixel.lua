-- wrk's requests for the collector benchmark: a thousand visits of real browsers, prepared before the clock starts.
-- Arguments: "returning" or "new" visitors; mean pause between a connection's requests in ms (0: none).

local agents = {
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
  "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
}
local languages = { "de-AT,de;q=0.9,en;q=0.8", "en-GB,en;q=0.9", "fr-FR,fr;q=0.8,en-US;q=0.5,en;q=0.3", "en-US,en;q=0.9" }
local requests = {}
local at = 0

function init(args)
  local mean_ms = tonumber(args[2])
  math.randomseed(7)
  for i = 1, 1000 do
    local id = {}
    for digit = 1, 32 do id[digit] = string.format("%x", math.random(0, 15)) end
    local headers = {
      ["Host"] = "px.shop.example",
      ["User-Agent"] = agents[i % #agents + 1],
      ["Accept"] = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
      ["Accept-Language"] = languages[i % #languages + 1],
      ["Accept-Encoding"] = "gzip, deflate, br, zstd",
      ["Referer"] = "https://shop.example/products/" .. i,
    }
    if args[1] == "returning" then headers["Cookie"] = "_pid=" .. table.concat(id) end
    requests[i] = wrk.format("GET", "/p.gif?s=bench&e=pageview&u=https%3A%2F%2Fshop.example%2Fproducts%2F" .. i ..
      "%3Futm_source%3Dyoutube%26utm_medium%3Dvideo%26utm_campaign%3Dlaunch&r=https%3A%2F%2Fwww.youtube.com%2F" ..
      "&t=Product%20" .. i, headers)
  end
  if mean_ms > 0 then
    delay = function() return math.random(0, 2 * mean_ms) end
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
