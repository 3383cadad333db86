// A page of another site, in a real browser, that uses PostHog's browser SDK.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { RECORDED_URL, Recording, TOKEN, expect, until } from '../support/harness.mjs'

const require = createRequire(`${process.env.CLIENT_ROOT}/`)
const { chromium } = require('playwright-core')

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]
const PAGE = `<!doctype html><title>A shop</title><link rel="icon" href="data:,">
<script type="module">import posthog from '/sdk.js'; window.posthog = posthog</script>`

function onPath(program) {
  return process.env.PATH.split(delimiter).map((folder) => join(folder, program)).find(existsSync)
}

/** The browser, and the site that its pages are of; both end with `close`. */
export class Browser {
  static async open() {
    const browser = new Browser()
    const sdk = await readFile(`${process.env.CLIENT_ROOT}/node_modules/posthog-js/dist/module.mjs`)
    browser.server = createServer((request, response) => {
      const [type, body] = request.url === '/sdk.js' ? ['text/javascript', sdk] : ['text/html', PAGE]
      response.writeHead(200, { 'content-type': type }).end(body)
    })
    await new Promise((listening) => browser.server.listen(0, '127.0.0.1', listening))
    browser.visitors = 0
    // A profile of its own comes with each launch, and goes with it.
    browser.chromium = await chromium.launch({ executablePath: onPath('chromium'), args: FLAGS })
    return browser
  }

  /** Somebody who has never been there, on a site of their own, which tells their requests from others'. */
  async visitor() {
    for (const context of this.chromium.contexts()) await context.close()
    const origin = `http://visitor-${++this.visitors}.localhost:${this.server.address().port}`
    return new Visitor(origin, await this.chromium.newContext(), await Recording.begin())
  }

  async close() {
    await this.chromium.close()
    this.server.close()
  }
}

/** A person's browser: what it stores lasts from page to page. */
class Visitor {
  constructor(origin, context, recording) {
    Object.assign(this, { origin, context, recording, complaints: [], unanswered: new Set() })
  }

  /** What the visitor's pages asked of the service at paths that start so; `wanted` narrows by field. */
  async exchanges(path, wanted) {
    const all = await this.recording.exchanges(path, wanted)
    return all.filter((one) => one.request_headers.origin === this.origin)
  }

  async statuses(path, wanted) {
    return (await this.exchanges(path, wanted)).map((one) => one.status)
  }

  /** Opens the page and starts the SDK there; done when it has flags, or is told that it gets none. */
  async visit(options = {}, token = TOKEN) {
    this.page = await this.context.newPage()
    this.page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(message.text())
    })
    this.page.on('pageerror', (error) => this.complaints.push(String(error)))
    this.page.on('request', (request) => this.unanswered.add(request))
    this.page.on('requestfinished', (request) => this.unanswered.delete(request))
    await this.page.goto(this.origin)
    await this.page.waitForFunction(() => window.posthog)
    const all = {
      api_host: RECORDED_URL,
      // A headless browser is taken for a robot without this.
      opt_out_useragent_filter: true,
      // Events are sent as they come.
      request_batching: false,
      disable_session_recording: true,
      disable_surveys: true,
      ...options,
    }
    await this.page.evaluate(([token, all]) => {
      window.loads = 0
      posthog.init(token, all)
      posthog.onFeatureFlags(() => { window.loads++ })
    }, [token, all])
    await this.page.waitForFunction(() => window.loads > 0)
    return this
  }

  /** Runs a function in the page. */
  run(work, argument) {
    return this.page.evaluate(work, argument)
  }

  /** What the SDK says of each of these flags. */
  flags(...keys) {
    return this.run((keys) => Object.fromEntries(keys.map((key) => [key, posthog.getFeatureFlag(key)])), keys)
  }

  /** Waits until the SDK says so of these flags: some load of theirs is under way. */
  async become(wanted) {
    const reached = async () => isDeepStrictEqual(await this.flags(...Object.keys(wanted)), wanted)
    await until(`flags become ${JSON.stringify(wanted)}`, reached).catch(async (error) => {
      expect(error.message, await this.flags(...Object.keys(wanted)), wanted)
    })
  }

  /** Loads flags anew. */
  reload() {
    return this.run(() => posthog.reloadFeatureFlags())
  }

  /** Logs in, which loads flags anew. */
  identify(user, properties = {}) {
    return this.run(([user, properties]) => posthog.identify(user, properties), [user, properties])
  }

  /** Leaves the page, as people do: by going elsewhere. What it sends then, nobody waits for. */
  async leave() {
    await this.answered()
    this.page.removeAllListeners('request')
    await this.page.goto('about:blank')
  }

  /** Waits until every request has its answer. */
  answered() {
    return until('every request is answered', () => this.unanswered.size === 0)
  }

  /** Ends a visit in which nothing may have gone wrong. */
  async done() {
    await this.answered()
    expect('errors on the console', this.complaints, [])
    await this.close()
  }

  close() {
    return this.context.close()
  }
}
