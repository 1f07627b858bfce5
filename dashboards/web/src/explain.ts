/** What each figure means, in plain words; shown behind the `?` beside it. One place, so that a word means the same on every page. */

export const EXPLAIN = {
  requests: 'Requests that reached a route, each counted once, however many attempts it took. Keepalives are not counted.',
  errors:
    'Requests that a client saw fail: throttled everywhere, failed upstream, broken off, or refused by the gateway with 5xx. A client’s own ' +
    'mistakes (400 and the like), its limits and clients that hung up are not errors. Rescued ones went on to another deployment, unnoticed.',
  running: 'Requests that are in the gateway this moment, streams that are being answered included.',
  ttft: 'Time to first token: from the request’s head to the first token towards the client. Streams only. This is what people wait for.',
  total: 'From the request’s head to the end of its answer, as the client saw it. Long answers take long, so read it beside tokens.',
  overhead: 'What the gateway itself added: all its work, without waiting for upstreams or for the client’s body.',
  percentile:
    'Half of all requests were faster than p50, 95 of 100 faster than p95, 99 of 100 faster than p99. Kept as a histogram, so within about 5 %.',
  tokens: 'Prompt and completion tokens as the provider reported them. Cached prompt tokens are part of the prompt tokens.',
  cached: 'Prompt tokens that the provider found in its cache, of all prompt tokens. Cached tokens are cheaper and answer sooner.',
  money:
    'Hosting of fine-tuned deployments by the hour plus tokens by the configured prices. Deployments without a price count as nothing.',
  tokenUsd: 'Prompt and completion tokens by the configured prices, cached ones at their lower price.',
  forecast: 'This month: what is spent, hosting until its end of what is there now, and tokens at the mean of the last seven whole days.',
  days: 'Whole days in UTC. Hosting is not among them: it runs by the hour, used or not, and is in the table below.',
  saved: 'What cached prompt tokens would have cost more at the full price.',
  hosting: 'Azure bills a fine-tuned deployment by the hour, used or not.',
  attempts: 'Calls to a deployment. A request needs one; it takes more when a deployment throttles or fails.',
  failovers: 'Requests that went on to another deployment after an attempt failed. Clients do not notice them, but they take time.',
  throttled: 'Answers with status 429: the deployment’s limit is used up. The request goes on elsewhere where there is room.',
  breaker:
    'A deployment that fails again and again is set aside (its breaker is open) and tried again with single requests (half open) until ' +
    'it answers.',
  heatmap:
    'Each column is a stretch of time, each row a span of latency; the brighter the cell, the more requests. Two bands mean two kinds of request.',
  slowest: 'The slowest requests of each minute, kept for two days. Open one to see where its time went.',
  usdPer1k: 'Hosting, tokens and keepalives of the deployment, divided by its requests, times a thousand.',
  headroom:
    'What the deployments outside a region could take in a minute, by what its pool sends in a minute. Below one the others could not carry the ' +
    'load if the region were lost now.',
  flow:
    'Every request of the range, from the route it came in by to the deployment that answered it and its region. Colour tells whether it went where ' +
    'it was meant to go, spilled because the first choice had no room, or went on after a failure.',
  pool: 'A pool is deployments of the same model. Its first tier is used while it has room; a lower tier only where no better one can be used.',
  heads:
    'Beginnings that many prompts share, such as a long system prompt. A cold one lives at one deployment, its home; a hot one is spread over as many ' +
    'homes as its tokens need, and no more. Only hashes are kept, never text.',
  plan: 'The order in which deployments would be asked for this very request, as the gateway would decide it now. Nothing is sent, counted or stored.',
  whatIf:
    'The last requests, played again through the placement that ships: once with the configuration in use, once with yours. Compare the two with each ' +
    'other; what really happened also had outages and drains in it.',
  misses:
    'Prompt tokens that this gateway had sent before and that were not found in a cache, by cause. Dollars are what they cost more than cached ones.',
  drift:
    'Where prompts of a route part early although what follows is the same again: a time, an id or a shuffled list near the front. Everything after it ' +
    'cannot be cached. Found from hashes; no prompt is kept.',
  expected:
    'What placement expected to be found cached, beside what the provider’s answers reported. A gap that stays is worth a look at the causes below.',
  keepalive: 'Tokens that the gateway spent so that Azure does not delete an unused deployment.',
} as const;

export type Term = keyof typeof EXPLAIN;
