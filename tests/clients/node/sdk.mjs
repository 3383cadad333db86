// Clients of PostHog's Node SDK, as the rows need them.

import { createRequire } from 'node:module'
import { RECORDED_URL, SECRET, TOKEN } from '../support/harness.mjs'

const { PostHog } = createRequire(`${process.env.CLIENT_ROOT}/`)('posthog-node')

// The rows make errors on purpose, and the SDK reports them on the console, which is for rows.
for (const level of ['debug', 'info', 'warn']) console[level] = () => {}

const FOREVER = 3_600_000

/** A client that asks the service for each flag; it sends events when it is told to. */
export function remote(options = {}, token = TOKEN) {
  return new PostHog(token, { host: RECORDED_URL, flushAt: 10_000, flushInterval: FOREVER, ...options })
}

/** A client that evaluates by itself; it loads definitions once, then when it is told to. */
export async function local(secret = SECRET, options = {}) {
  const client = remote({ secretKey: secret, featureFlagsPollingInterval: null, ...options })
  client.errors = []
  client.on('error', (error) => client.errors.push(error))
  // Waits for the load that making the client has begun.
  await client.featureFlagsPoller.loadFeatureFlags()
  return client
}

/** What a client decides without asking; undefined if it cannot. */
export async function locally(client, key, distinctId = 'somebody', options = {}) {
  const told = { onlyEvaluateLocally: true, sendFeatureFlagEvents: false, ...options }
  return client.getFeatureFlag(key, distinctId, told)
}
