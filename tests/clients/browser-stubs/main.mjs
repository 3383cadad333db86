// Pages of another origin that call the service over gRPC-web, by generated stubs, in Chromium.

import { changeFlag, expect, makeFlag, onFor, row, until } from '../support/harness.mjs'
import { Site } from './site.mjs'

const SUBJECT = { distinctId: 'ann', personProperties: { country: 'NZ' } }
const SOMEBODY = { subject: SUBJECT, flagKey: 'checkout' }

const site = await Site.open(...['calls.js', 'calls.html'].map((name) => new URL(name, import.meta.url).pathname))
site.bundle('calls.js', 'calls-page.js')
try {
  const flag = await makeFlag('checkout', onFor('country', 'NZ'))
  await row('quickstart grpc-web: a kill switch reaches an open page', async () => {
    const page = await site.page('grpc_web.html')
    const said = (text) => until(`the page says ${text}`, async () => (await page.textContent('#said')) === text)
    await said('on for you')
    await changeFlag(flag, { active: false })
    await said('off for you')
    await changeFlag(flag, { active: true })
    await said('on for you')
    await page.close()
  })
  const page = await site.page('calls.html')
  const call = (...args) => page.evaluate((args) => window.call(...args), args)
  await row('answers, with the id of the request', async () => {
    const { enabled, id } = await call('evaluation', 'evaluateFlag', SOMEBODY)
    expect('the flag', [enabled, /^[0-9a-f-]{36}$/.test(id)], [true, true])
    const subjects = { requests: undefined, subjects: [SUBJECT, SUBJECT] }
    expect('a batch', await call('evaluation', 'batchEvaluateFlags', subjects), { count: 2 })
  })
  await row('errors, with their details', async () => {
    const absent = await call('evaluation', 'evaluateFlag', { ...SOMEBODY, flagKey: 'absent' })
    expect('an absent flag', [absent.code, absent.details], ['NotFound', ['google.rpc.ErrorInfo']])
    const unknown = await call('evaluation', 'evaluateFlag', SOMEBODY, 'phc_nobodys')
    expect('a wrong token', [unknown.code, unknown.message], ['Unauthenticated', 'Invalid project token.'])
  })
  await row('events', async () => {
    const events = [{ event: '$identify', distinctId: 'ann' }]
    expect('ingestion', (await call('ingestion', 'ingestEvents', { events })).code, undefined)
  })
  await row('management is closed to pages', async () => {
    const refused = await call('flags', 'listFeatureFlags', {}, process.env.FLAGSTAFF_KEY)
    expect('the browser lets nothing through', [refused.code, refused.message], ['Unknown', 'Failed to fetch'])
  })
} finally {
  await site.close()
}
