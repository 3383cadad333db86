// What the SDK does when it is refused, or when the service is away.

import {
  PROJECT, Recording, TOKEN, URL, checkCourtesy, control, evaluate, expect, flagstaff, makeFlag, onFor, row, until,
} from '../support/harness.mjs'
import { local, locally, remote } from './sdk.mjs'

/** A personal key of this project, to use up or to take back. */
async function newKey(label) {
  const scopes = ['--scopes', 'feature_flag:read', '--project', PROJECT, '--label', label]
  const key = (await flagstaff('keys', 'create', ...scopes)).trim()
  await until('the service knows the key', async () => (await definitions(key)) === 200)
  return key
}

/** The status of the definitions for a key. */
async function definitions(key) {
  const answer = await fetch(`${URL}/flags/definitions?token=${TOKEN}`, { headers: { authorization: `Bearer ${key}` } })
  await answer.arrayBuffer()
  return answer.status
}

/** The statuses of what the SDK said went wrong. */
function refusals(client) {
  return client.errors.map((error) => error.status ?? error.name)
}

export async function wrongToken() {
  await makeFlag('steady')
  await row('wrong token: no flags, no retry, events given up', async () => {
    const [client, seen] = [remote({}, 'phc_nobodys'), await Recording.begin()]
    client.errors = []
    client.on('error', (error) => client.errors.push(error))
    expect('the flag', await client.getFeatureFlag('steady', 'somebody', { sendFeatureFlagEvents: false }), undefined)
    expect('asked', await seen.statuses('/flags/'), [401])
    client.capture({ distinctId: 'somebody', event: 'anything' })
    await client.flush().catch(() => {})
    // The event is dropped: nothing is left to send.
    await client.flush()
    expect('sent', await seen.statuses('/batch/'), [401])
    expect('told to the application', refusals(client), [401, 401])
  })
}

export async function revokedKey() {
  await row('revoked key: polling backs off, local flags are kept', async () => {
    const label = `to be revoked, ${PROJECT}`
    const key = await newKey(label)
    const [client, seen] = [await local(key), await Recording.begin()]
    expect('before', await locally(client, 'steady'), true)
    const keys = JSON.parse(await flagstaff('keys', 'list'))
    await flagstaff('keys', 'revoke', String(keys.find((one) => one.label === label).id))
    await until('the service refuses the key', async () => (await definitions(key)) === 401)
    await client.reloadFeatureFlags()
    expect('statuses', await seen.statuses('/flags/definitions'), [401])
    expect('told to the application', refusals(client), ['ClientError'])
    expect('the next poll, in ms', client.featureFlagsPoller.getPollingInterval(), 60_000)
    expect('locally', await locally(client, 'steady'), true)
    expect('remotely', await remote().getFeatureFlag('steady', 'somebody'), true)
  })
}

export async function wrongProject() {
  await row("another project's secret: no definitions, remote answers go on", async () => {
    const other = JSON.parse(await flagstaff('projects', 'create', '--name', 'other'))
    await until('the service knows it', async () => (await definitions(other.secret_api_token)) === 403)
    const seen = await Recording.begin()
    const client = await local(other.secret_api_token)
    expect('told to the application', refusals(client), ['ClientError'])
    expect('locally', await locally(client, 'steady'), undefined)
    expect('remotely', await client.getFeatureFlag('steady', 'somebody'), true)
    // It backs off: reading flags does not ask again and again.
    expect('statuses', await seen.statuses('/flags/definitions'), [403])
  })
}

export async function oversizedBatch() {
  await row('oversized batch: refused with 413, halved until it arrives', async () => {
    const [client, seen] = [remote({ disableCompression: true }), await Recording.begin()]
    const properties = { text: 'x'.repeat(800_000) }
    for (let number = 0; number < 4; number++) client.capture({ distinctId: 'somebody', event: 'large', properties })
    await client.flush()
    expect('sent', await seen.statuses('/batch/'), [413, 200, 200])
  })
}

export async function rateLimit() {
  await row('rate limited definitions: 429 with whole seconds, polling backs off, flags kept', async () => {
    const key = await newKey('to be used up')
    const [client, seen] = [await local(key), await Recording.begin()]
    while ((await definitions(key)) === 200);
    await client.reloadFeatureFlags()
    const refused = await seen.exchanges('/flags/definitions')
    expect('statuses', refused.map((one) => one.status), [429])
    const wait = refused[0].response_headers['retry-after']
    expect('whole seconds', /^\d+$/.test(wait) && wait > 0 && wait <= 60, true)
    expect('the next poll, in ms', client.featureFlagsPoller.getPollingInterval(), 60_000)
    expect('locally', await locally(client, 'steady'), true)
    return `Retry-After: ${wait}`
  })
}

export async function restart() {
  await row('restarting service: local flags are kept, one retry, then 304', async () => {
    const [keeping, asking] = [await local(), remote()]
    expect('before', await asking.getFeatureFlag('steady', 'somebody'), true)
    await control('stop')
    const seen = await Recording.begin()
    try {
      await keeping.reloadFeatureFlags()
      expect('definitions', await seen.statuses('/flags/definitions'), [0])
      expect('locally', await locally(keeping, 'steady'), true)
      expect('remotely', await asking.getFeatureFlag('steady', 'somebody'), undefined)
      const tries = (await seen.exchanges('/flags/?')).map((one) => one.at)
      expect('tries', tries.length, 2)
      expect('back-off of 0.3 s', tries[1] - tries[0] >= 0.29, true)
    } finally {
      await control('start')
    }
    expect('again', await asking.getFeatureFlag('steady', 'somebody'), true)
    await keeping.reloadFeatureFlags()
    expect('definitions again', await seen.statuses('/flags/definitions'), [0, 304])
  })
}

export async function queuedEvents() {
  await makeFlag('by-patience', onFor('patience', 'long'))
  await row('restarting service: events are retried and arrive once', async () => {
    await control('stop')
    const seen = await Recording.begin()
    let sending
    try {
      const client = remote({ fetchRetryCount: 20, fetchRetryDelay: 500 })
      client.identify({ distinctId: 'waiting', properties: { patience: 'long' } })
      sending = client.flush()
      await until('a second try', async () => (await seen.exchanges('/batch/')).length >= 2)
    } finally {
      await control('start')
    }
    await sending
    const statuses = await seen.statuses('/batch/')
    expect('answers', statuses.filter((status) => status !== 0), [200])
    expect('the answer', (await evaluate('waiting'))['by-patience'].enabled, true)
    return `${statuses.length} tries`
  })
}

export async function courtesy() {
  await row('never 402, Retry-After in whole seconds', async () => {
    const { answers, waits } = await checkCourtesy()
    expect('a Retry-After was seen', waits > 0, true)
    return `${answers} answers, ${waits} with Retry-After`
  })
}
