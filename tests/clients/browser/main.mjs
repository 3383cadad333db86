// PostHog's browser SDK, unmodified, in Chromium, against the service.

import { Browser } from './page.mjs'
import * as trouble from './trouble.mjs'
import * as usage from './usage.mjs'

const browser = await Browser.open()
try {
  await usage.flags(browser)
  await usage.remoteConfig(browser)
  await usage.preflights(browser)
  await usage.bodies(browser)
  await usage.continuity(browser)
  await usage.groups(browser)
  await usage.calls(browser)
  await usage.flips(browser)
  await trouble.wrongToken(browser)
  await trouble.restart(browser)
  await trouble.courtesy()
} finally {
  await browser.close()
}
