// PostHog's Node SDK, unmodified, against the service.

import * as speed from './speed.mjs'
import * as trouble from './trouble.mjs'
import * as usage from './usage.mjs'

await usage.remoteEvaluation()
await usage.variantsAndPayloads()
await usage.localEvaluation()
await usage.remoteConfig()
await usage.groups()
await usage.calls()
await usage.people()
await usage.eventEndpoints()
await speed.remoteCall()
await trouble.wrongToken()
await trouble.revokedKey()
await trouble.wrongProject()
await trouble.oversizedBatch()
await trouble.rateLimit()
await trouble.restart()
await trouble.queuedEvents()
await trouble.courtesy()
// Everything was flushed; the SDK's timers need not be waited for.
process.exit(0)
