-- POSTs one body with many users' tokens, one after the other. Told by the environment:
--   BENCH_TOKENS  file, a token per line (unset: GET without token)
--   BENCH_BODY    file with the body
--   BENCH_PAUSE_MS  milliseconds that a connection waits before each request, about
local requests = {}
local n = 0

function init()
	local tokens = os.getenv("BENCH_TOKENS")
	if not tokens then
		requests[1] = wrk.format("GET")
		return
	end
	local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
	local body = file:read("*a")
	file:close()
	for token in io.lines(tokens) do
		requests[#requests + 1] = wrk.format("POST", nil, {
			["Authorization"] = "Bearer " .. token,
			["Content-Type"] = "application/json",
		}, body)
	end
end

-- wrk asks only when there is such a function.
local pause = tonumber(os.getenv("BENCH_PAUSE_MS"))
if pause then
	function delay()
		return math.random(0, 2 * pause)
	end
end

function request()
	n = n % #requests + 1
	return requests[n]
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format(
		'\nRESULT {"requests":%d,"us":%d,"p50":%d,"p99":%d,"bad":%d}\n',
		summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
		e.connect + e.read + e.write + e.status + e.timeout))
end
