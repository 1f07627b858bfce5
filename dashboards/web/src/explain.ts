/** What each figure means, in plain words; shown behind the `?` beside it. One place, so that a word means the same on every page. */

export const EXPLAIN = {
  requests: 'Requests that reached a route, each counted once, however many attempts it took. Keepalives are not counted.',
  errors:
    'Requests that a client saw fail: throttled everywhere, failed upstream, broken off, or refused by the gateway. A client’s own ' +
    'mistakes (400 and the like) and clients that hung up are not errors.',
  ttft: 'Time to first token: from the request’s head to the first token towards the client. Streams only. This is what people wait for.',
  total: 'From the request’s head to the end of its answer, as the client saw it. Long answers take long, so read it beside tokens.',
  overhead: 'What the gateway itself added: all its work, without waiting for upstreams or for the client’s body.',
  percentile: 'Half of all requests were faster than p50, 95 of 100 faster than p95, 99 of 100 faster than p99. Kept as a histogram, so within about 5 %.',
  tokens: 'Prompt and completion tokens as the provider reported them. Cached prompt tokens are part of the prompt tokens.',
  cached: 'Prompt tokens that the provider found in its cache, of all prompt tokens. Cached tokens are cheaper and answer sooner.',
  money: 'Hosting of fine-tuned deployments by the hour plus tokens by the configured prices. Deployments without a price count as nothing.',
  saved: 'What cached prompt tokens would have cost more at the full price.',
  hosting: 'Azure bills a fine-tuned deployment by the hour, used or not.',
  attempts: 'Calls to a deployment. A request needs one; it takes more when a deployment throttles or fails.',
  failovers: 'Requests that went on to another deployment after an attempt failed. Clients do not notice them, but they take time.',
  throttled: 'Answers with status 429: the deployment’s limit is used up. The request goes on elsewhere where there is room.',
  breaker:
    'A deployment that fails again and again is set aside (its breaker is open) and tried again with single requests (half open) until ' +
    'it answers.',
  heatmap: 'Each column is a stretch of time, each row a span of latency; the brighter the cell, the more requests. Two bands mean two kinds of request.',
  slowest: 'The slowest requests of each minute, kept for two days. Open one to see where its time went.',
  usdPer1k: 'Hosting, tokens and keepalives of the deployment, divided by its requests, times a thousand.',
  keepalive: 'Tokens that the gateway spent so that Azure does not delete an unused deployment.',
} as const;

export type Term = keyof typeof EXPLAIN;
