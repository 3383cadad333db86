// What the SDK does when it is refused, or when the service is away.

import { checkCourtesy, control, evaluate, expect, makeFlag, onFor, row, until } from '../support/harness.mjs'

export async function wrongToken(browser) {
  await row('wrong token: no flags, no retry', async () => {
    const visitor = await (await browser.visitor()).visit({}, 'phc_nobodys')
    expect('the flag', await visitor.flags('button'), { button: undefined })
    const sent = () => visitor.statuses('/e/', { method: 'POST' })
    await until('an event was refused', async () => (await sent()).length > 0)
    expect('asked', await visitor.statuses('/flags/'), [401])
    expect('sent', [...new Set(await sent())], [401])
    await visitor.close()
  })
}

export async function restart(browser) {
  await makeFlag('by-patience', onFor('patience', 'long'))
  await row('restarting service: flags are kept, events are retried', async () => {
    const visitor = await (await browser.visitor()).visit()
    const before = await visitor.flags('button', 'off')
    const id = await visitor.run(() => posthog.get_distinct_id())
    await control('stop')
    try {
      await visitor.run(() => posthog.setPersonProperties({ patience: 'long' }))
      await visitor.run(() => posthog.reloadFeatureFlags())
      await until('both were tried', async () => {
        const lost = await visitor.exchanges('', { status: 0 })
        return ['/flags/', '/e/'].every((path) => lost.some((one) => one.path.startsWith(path)))
      })
      expect('while it is away', await visitor.flags('button', 'off'), before)
    } finally {
      await control('start')
    }
    await until('the event arrived', async () => (await evaluate(id))['by-patience'].enabled)
    await visitor.reload()
    await visitor.become({ 'by-patience': true, off: false })
    await visitor.close()
    return `${(await visitor.statuses('/e/', { method: 'POST' })).length} tries`
  })
}

export async function courtesy() {
  await row('never 402', async () => `${(await checkCourtesy()).answers} answers`)
}
