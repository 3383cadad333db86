// What applications do with the SDK.

import {
  KEY, Recording, SECRET, call, changeFlag, evaluate, expect, makeFlag, onFor, row, share, until,
} from '../support/harness.mjs'
import { local, locally, remote } from './sdk.mjs'

const PAYLOADS = { blue: { hex: '#00f' }, green: [1, 2.5, null] }
const VARIANTS = {
  multivariate: {
    variants: [
      { key: 'blue', rollout_percentage: 50 },
      { key: 'green', rollout_percentage: 50 },
    ],
  },
  payloads: { blue: JSON.stringify(PAYLOADS.blue), green: JSON.stringify(PAYLOADS.green) },
}
const PEOPLE = Array.from({ length: 40 }, (_, number) => `person-${number}`)

export async function remoteEvaluation() {
  await makeFlag('plain')
  await makeFlag('by-plan', onFor('plan', 'pro'))
  await row('remote evaluation', async () => {
    const [client, seen] = [remote(), await Recording.begin()]
    expect('plain', await client.getFeatureFlag('plain', 'somebody'), true)
    const pro = { personProperties: { plan: 'pro' } }
    expect('with the property', await client.isFeatureEnabled('by-plan', 'somebody', pro), true)
    expect('without it', await client.isFeatureEnabled('by-plan', 'somebody'), false)
    const flags = await client.evaluateFlags('somebody', pro)
    expect('all at once', [flags.isEnabled('plain'), flags.getFlag('by-plan')], [true, true])
    expect('statuses', await seen.statuses('/flags/?v=2'), [200, 200, 200, 200])
    expect('a flag that is not there', await client.getFeatureFlag('absent', 'somebody'), undefined)
  })
}

export async function variantsAndPayloads() {
  await makeFlag('button', { ...share(80), ...VARIANTS })
  await row('variants and payloads', async () => {
    const values = await agreed(remote(), {})
    expect('values seen', Object.keys(values).sort(), ['blue', 'false', 'green'])
    return Object.entries(values).map(([value, count]) => `${count} ${value}`).join(', ')
  })
  await row('variants and payloads, locally', async () => {
    await agreed(await local(), { onlyEvaluateLocally: true })
  })
}

/** Compares a client's answers with the service's own; how many people got each. */
async function agreed(client, options) {
  const values = {}
  for (const person of PEOPLE) {
    const ours = (await evaluate(person)).button
    const result = await client.getFeatureFlagResult('button', person, options)
    expect(person, result.variant ?? result.enabled, ours.variant ?? ours.enabled)
    // Null from the service, undefined from definitions, where there is none.
    expect(`payload of ${person}`, result.payload ?? null, PAYLOADS[ours.variant] ?? null)
    values[ours.variant ?? ours.enabled] = (values[ours.variant ?? ours.enabled] ?? 0) + 1
  }
  return values
}

export async function localEvaluation() {
  const flag = await makeFlag('flipped')
  let client
  await row('local evaluation with 304s', async () => {
    const seen = await Recording.begin()
    client = await local()
    await client.reloadFeatureFlags()
    await client.reloadFeatureFlags()
    const exchanges = await seen.exchanges('/flags/definitions')
    expect('statuses', exchanges.map((one) => one.status), [200, 304, 304])
    const etag = exchanges[0].response_headers.etag
    expect('sent', exchanges.map((one) => one.request_headers['if-none-match']), [undefined, etag, etag])
    expect('the flag', await locally(client, 'flipped'), true)
    expect('evaluations asked for', await seen.statuses('/flags/?'), [])
  })
  await row('a flip is seen by local evaluation after a reload', async () => {
    const seen = await Recording.begin()
    await changeFlag(flag, { filters: share(0) })
    expect('before the reload', await locally(client, 'flipped'), true)
    await client.reloadFeatureFlags()
    expect('after it', await locally(client, 'flipped'), false)
    expect('statuses', await seen.statuses('/flags/definitions'), [200])
  })
}

export async function remoteConfig() {
  const filters = { ...share(100), payloads: { true: '{"limit": 5}' } }
  await makeFlag('config', filters, { is_remote_configuration: true })
  await makeFlag('sealed', filters, { is_remote_configuration: true, has_encrypted_payloads: true })
  await row('remote config, encrypted too', async () => {
    for (const [secret, sealed] of [[KEY, { limit: 5 }], [SECRET, '********* (encrypted)']]) {
      const client = await local(secret)
      expect('plain', await client.getRemoteConfigPayload('config'), { limit: 5 })
      expect('encrypted', await client.getRemoteConfigPayload('sealed'), sealed)
      // The SDK reads JSON whatever the status; a 404 has no body, here as in PostHog.
      const absent = await client.getRemoteConfigPayload('absent').catch((error) => error.name)
      expect('absent', absent, 'SyntaxError')
    }
  })
}

export async function groups() {
  await row('group flags, by stored and by given properties', async () => {
    const asking = remote()
    const group = { groupType: 'company', groupKey: 'acme', properties: { plan: 'pro' } }
    asking.groupIdentify({ ...group, distinctId: 'somebody' })
    await asking.flush()
    const filters = onFor('plan', 'pro', { type: 'group', group_type_index: 0 })
    await makeFlag('by-company', { ...filters, aggregation_group_type_index: 0 })
    const of = (company) => asking.getFeatureFlag('by-company', 'somebody', { groups: { company } })
    expect('stored', await of('acme'), true)
    expect('another', await of('other'), false)
    const client = await local()
    for (const [plan, wanted] of [['pro', true], ['free', false]]) {
      const given = { groups: { company: 'acme' }, groupProperties: { company: { plan } } }
      expect(`locally, ${plan}`, await locally(client, 'by-company', 'somebody', given), wanted)
    }
    expect('locally, without a group', await locally(client, 'by-company'), false)
  })
}

export async function calls() {
  const longAgo = { created_at: '2020-01-01T00:00:00Z' }
  const flag = await makeFlag('called', { ...share(100), ...VARIANTS }, longAgo)
  const unused = await makeFlag('forgotten', share(100), longAgo)
  const status = async () => (await call('GET', `feature_flags/${unused.id}/status/`)).status
  const counts = {}
  await row('$feature_flag_called is seen in the status', async () => {
    expect('status of a flag that nobody calls', await status(), 'stale')
    const client = remote()
    for (const person of PEOPLE.slice(0, 10)) {
      const value = await client.getFeatureFlag('called', person)
      // The same answer for the same person is told once.
      await client.getFeatureFlag('called', person)
      counts[value] = (counts[value] ?? 0) + 1
    }
    await client.getFeatureFlag('forgotten', 'somebody')
    await client.flush()
    const shown = () => call('GET', `feature_flags/${flag.id}/`)
    await until('the call is counted', async () => (await shown()).last_called_at > flag.created_at)
    await until('a called flag is active', async () => (await status()) === 'active')
  })
  await row("$feature_flag_called is seen in the dashboard's tiles", async () => {
    const dashboard = (await call('GET', `feature_flags/${flag.id}/`)).usage_dashboard
    for (const tile of [0, 1]) {
      await until(`tile ${tile} counts ${JSON.stringify(counts)}`, async () => {
        const totals = await tileTotals(dashboard)
        return Object.entries(counts).every(([value, count]) => totals[tile][value] === count)
      })
    }
    return Object.entries(counts).map(([value, count]) => `${count} ${value}`).join(', ')
  })
}

/** What each tile of a usage dashboard adds up to, by variant. */
async function tileTotals(dashboard) {
  const { tiles } = await call('GET', `dashboards/${dashboard}/?date_from=-7d`)
  const sum = (series) => [series.label, series.data.reduce((total, count) => total + count, 0)]
  return tiles.map((tile) => Object.fromEntries(tile.insight.result.series.map(sum)))
}

export async function people() {
  await makeFlag('by-city', onFor('city', 'Perth'))
  await makeFlag('by-team', onFor('team', 'red'))
  await row('identify and alias move answers', async () => {
    const client = remote()
    const answers = async () => {
      const told = []
      for (const person of ['visitor', 'member']) {
        const flags = await client.getAllFlags(person)
        told.push([flags['by-city'], flags['by-team']])
      }
      return told
    }
    client.identify({ distinctId: 'visitor', properties: { city: 'Perth' } })
    client.identify({ distinctId: 'member', properties: { team: 'red' } })
    await client.flush()
    expect('before', await answers(), [[true, false], [false, true]])
    client.alias({ distinctId: 'member', alias: 'visitor' })
    await client.flush()
    expect('after', await answers(), [[true, true], [true, true]])
  })
}

export async function eventEndpoints() {
  await makeFlag('by-size', onFor('size', 'large'))
  await row('events by every endpoint and packing', async () => {
    const paths = new Set()
    for (const mode of ['v0', 'v1']) {
      for (const disableCompression of [true, false]) {
        process.env.POSTHOG_CAPTURE_MODE = mode
        const [client, seen] = [remote({ disableCompression }), await Recording.begin()]
        const distinctId = `sender, ${mode}, ${disableCompression ? 'plain' : 'gzip'}`
        client.identify({ distinctId, properties: { size: 'large' } })
        await client.flush()
        const sent = await seen.exchanges('', { method: 'POST' })
        expect(`${distinctId}: statuses`, sent.map((one) => one.status), [200])
        const packing = sent[0].request_headers['content-encoding']
        expect(`${distinctId}: packed`, packing, disableCompression ? undefined : 'gzip')
        expect(`${distinctId}: the answer`, await client.getFeatureFlag('by-size', distinctId), true)
        paths.add(sent[0].path)
      }
    }
    delete process.env.POSTHOG_CAPTURE_MODE
    return [...paths].join(', ')
  })
}
