// What pages do with the SDK.

import {
  TOKEN, call, changeFlag, evaluate, expect, makeFlag, onFor, row, share, until,
} from '../support/harness.mjs'

const VARIANTS = {
  multivariate: {
    variants: [
      { key: 'blue', rollout_percentage: 50 },
      { key: 'green', rollout_percentage: 50 },
    ],
  },
  payloads: { blue: '{"hex": "#00f"}', green: '{"hex": "#0f0"}' },
}
const GZIP = '\x1f\x8b'

export async function flags(browser) {
  const flag = await makeFlag('button', { ...share(100), ...VARIANTS })
  await makeFlag('off', share(0))
  await row('flags and payloads, for a page of another origin', async () => {
    const visitor = await (await browser.visitor()).visit()
    const id = await visitor.run(() => posthog.get_distinct_id())
    const ours = (await evaluate(id, { evaluation_runtime: 'client' })).button
    const values = await visitor.flags('button', 'off', 'absent')
    expect('values', values, { button: ours.variant, off: false, absent: undefined })
    const payload = await visitor.run(() => posthog.getFeatureFlagResult('button').payload)
    expect('payload', payload, JSON.parse(flag.filters.payloads[ours.variant]))
    const [asked] = await visitor.exchanges('/flags/?v=2')
    expect('origin', [asked.request_headers.origin, asked.status], [visitor.origin, 200])
    expect('allowed', asked.response_headers['access-control-allow-origin'], '*')
    await visitor.done()
  })
}

export async function remoteConfig(browser) {
  await row('/array/{token}/config.js', async () => {
    const visitor = await (await browser.visitor()).visit()
    const config = await visitor.run((token) => window._POSTHOG_REMOTE_CONFIG[token].config, TOKEN)
    expect('it says that there are flags', [config.token, config.hasFeatureFlags], [TOKEN, true])
    expect('statuses', await visitor.statuses(`/array/${TOKEN}/config.js`), [200])
    await visitor.done()
  })
  await row('/array/{token}/config', async () => {
    const visitor = await (await browser.visitor()).visit({ disable_external_dependency_loading: true })
    const asked = await visitor.exchanges('/array/')
    expect('asked', asked.map((one) => [one.path, one.status]), [[`/array/${TOKEN}/config`, 200]])
    expect('flags follow it', await visitor.flags('off'), { off: false })
    await visitor.done()
  })
}

export async function preflights(browser) {
  await row('CORS preflights', async () => {
    const options = { request_headers: { 'X-Shop': '1' }, disable_compression: true }
    const visitor = await (await browser.visitor()).visit(options)
    await visitor.run(() => posthog.capture('a look around'))
    await until('the event was sent', async () => (await visitor.statuses('/e/', { method: 'POST' })).length > 0)
    const told = []
    for (const path of ['/flags/', '/e/']) {
      const [before] = await visitor.exchanges(path, { method: 'OPTIONS' })
      const [after] = await visitor.exchanges(path, { method: 'POST' })
      const wanted = before.request_headers['access-control-request-headers']
      expect(`${path}: asked for`, wanted.split(',').sort(), ['content-type', 'x-shop'])
      const allowed = before.response_headers['access-control-allow-headers'].split(',').map((name) => name.trim())
      expect(`${path}: allowed`, allowed.sort(), ['content-type', 'x-shop'])
      expect(`${path}: statuses`, [before.status, after.status], [204, 200])
      told.push(`${before.method} ${path}`)
    }
    await visitor.done()
    return told.join(', ')
  })
}

export async function bodies(browser) {
  await makeFlag('by-size', onFor('size', 'large'))
  const ways = [
    ['gzip', {}, GZIP, 'text/plain'],
    ['JSON', { disable_compression: true }, '{', 'application/json'],
  ]
  for (const [name, options, start, type] of ways) {
    await row(`${name} bodies`, async () => {
        const visitor = await (await browser.visitor()).visit(options)
      const user = `sender of ${name}`
      await visitor.identify(user, { size: 'large' })
      await until('the person is known', async () => (await evaluate(user))['by-size'].enabled)
      await visitor.reload()
      await visitor.become({ 'by-size': true })
      const posts = await visitor.exchanges('', { method: 'POST' })
      expect('statuses', [...new Set(posts.map((one) => one.status))], [200])
      expect('types', [...new Set(posts.map((one) => one.request_headers['content-type']))], [type])
      expect('starts', posts.every((one) => one.request_body.startsWith(start)), true)
      await visitor.done()
      return [...new Set(posts.map((one) => one.path.split('?')[0]))].join(', ')
    })
  }
  await row('base64 bodies, of beacons when a page is left', async () => {
    const options = { disable_compression: true, request_batching: true }
    const visitor = await (await browser.visitor()).visit(options)
    const id = await visitor.run(() => posthog.get_distinct_id())
    await visitor.run(() => posthog.setPersonProperties({ size: 'large' }))
    await visitor.leave()
    await until('the person is known', async () => (await evaluate(id))['by-size'].enabled)
    const beacons = await visitor.exchanges('/e/?compression=base64', { method: 'POST' })
    expect('statuses', [...new Set(beacons.map((one) => one.status))], [200])
    expect('forms', beacons.every((one) => one.request_body.startsWith('data=ey')), true)
    await visitor.done()
  })
  await row('base64 bodies, of requests for flags before there is a configuration', async () => {
    const visitor = await browser.visitor()
    await visitor.context.route('**/array/**', (route) => route.abort())
    await visitor.visit()
    expect('the flag', await visitor.flags('off'), { off: false })
    const [asked] = await visitor.exchanges('/flags/?v=2&compression=base64')
    expect('status and form', [asked.status, asked.request_body.startsWith('data=ey')], [200, true])
    await visitor.close()
  })
}

export async function continuity(browser) {
  await makeFlag('kept', share(50), { ensure_experience_continuity: true })
  await makeFlag('moving', share(50))
  await row('anonymous to identified: a flag with continuity keeps its value', async () => {
    const values = new Set()
    for (let number = 0; number < 20 && values.size < 2; number++) {
      const [visitor, before] = await loggedIn(browser, `stranger ${number}`)
      await visitor.become({ moving: !before.moving })
      expect('once logged in', await visitor.flags('kept'), { kept: before.kept })
      values.add(before.kept)
      await visitor.done()
    }
    expect('values that were kept', [...values].sort(), [false, true])
  })
  await row('anonymous to identified: of a visitor who is known, for later visits too', async () => {
    const [visitor, before] = await loggedIn(browser, 'acquaintance', async (visitor) => {
      const id = await visitor.run(() => posthog.get_distinct_id())
      await visitor.run(() => posthog.setPersonProperties({ size: 'large' }))
      await until('the person is known', async () => (await evaluate(id))['by-size'].enabled)
    })
    await visitor.become({ moving: !before.moving })
    await visitor.leave()
    // The SDK remembers flags; one that is new tells that they were asked for.
    await makeFlag('new')
    await visitor.visit()
    await visitor.become({ new: true, kept: before.kept, moving: !before.moving })
    await visitor.done()
  })
}

/** A new visitor, logged in as somebody whose own values are the other ones, and the values before that. */
async function loggedIn(browser, name, meet = async () => {}) {
  const visitor = await (await browser.visitor()).visit()
  await meet(visitor)
  const before = await visitor.flags('kept', 'moving')
  await visitor.identify(await theOther(before, name))
  return [visitor, before]
}

/** An id whose own values differ from these. */
async function theOther(values, name) {
  for (let number = 0; ; number++) {
    const user = `${name}, ${number}`
    const own = await evaluate(user)
    if (own.kept.enabled !== values.kept && own.moving.enabled !== values.moving) return user
  }
}

export async function groups(browser) {
  await row('groups', async () => {
    const visitor = await (await browser.visitor()).visit()
    await visitor.identify('somebody of acme')
    await visitor.run(() => posthog.group('company', 'acme', { plan: 'pro' }))
    const filters = onFor('plan', 'pro', { type: 'group', group_type_index: 0 })
    const made = () => makeFlag('by-company', { ...filters, aggregation_group_type_index: 0 }).catch(() => null)
    // The group's type is there once its event has arrived.
    await until('the group type is known', made)
    // The SDK sends the group's properties once; what is stored counts afterwards. On a busy machine it may take
    // longer to read than an answer waits, and an unknown property does not match.
    await until('the group has the flag', async () => {
      await visitor.reload()
      await visitor.answered()
      return (await visitor.flags('by-company'))['by-company'] === true
    })
    await visitor.done()
  })
}

export async function calls(browser) {
  const flag = await makeFlag('called', share(100), { created_at: '2020-01-01T00:00:00Z' })
  await row('$feature_flag_called is seen in the status and the dashboard', async () => {
    const shown = (path = '') => call('GET', `feature_flags/${flag.id}/${path}`)
    expect('before', (await shown('status/')).status, 'stale')
    const visitor = await (await browser.visitor()).visit()
    expect('the flag', await visitor.flags('called'), { called: true })
    await until('it is active', async () => (await shown('status/')).status === 'active')
    const path = `dashboards/${(await shown()).usage_dashboard}/?date_from=-7d`
    await until('the tiles count it', async () => {
      const { tiles } = await call('GET', path)
      const shown = ({ label, data }) => [label, Math.max(...data)]
      const series = tiles.map((tile) => tile.insight.result.series.map(shown))
      return JSON.stringify(series) === '[[["true",1]],[["true",1]]]'
    })
    await visitor.done()
  })
}

export async function flips(browser) {
  const flag = await makeFlag('flipped')
  await row('a flip is seen after a reload', async () => {
    const visitor = await (await browser.visitor()).visit()
    expect('before', await visitor.flags('flipped'), { flipped: true })
    await changeFlag(flag, { filters: share(0) })
    await visitor.reload()
    await visitor.become({ flipped: false })
    await visitor.done()
  })
}
