// What the Node programs under tests/clients share: rows, the management API, and the runner.
// The same as harness.py; needs nothing but Node.

import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'

const env = process.env
export const URL = env.FLAGSTAFF_URL
export const RECORDED_URL = env.FLAGSTAFF_RECORDED_URL
export const PROJECT = env.FLAGSTAFF_PROJECT
export const TOKEN = env.FLAGSTAFF_TOKEN
export const SECRET = env.FLAGSTAFF_SECRET
export const KEY = env.FLAGSTAFF_KEY
const CONTROL = env.FLAGSTAFF_CONTROL

/** The service, or the runner, answered with an error. */
export class Refused extends Error {
  constructor(method, url, status, body) {
    super(`${method} ${url}: ${status} ${body.slice(0, 500)}`)
    this.status = status
  }
}

/** Prints a row when the function is done: `ok`, or `fail` with what it threw. What it returns is shown. */
export async function row(capability, check) {
  try {
    const detail = await check()
    console.log(`${capability}\tok\t${detail ?? ''}`)
  } catch (error) {
    console.error(error)
    console.log(`${capability}\tfail\t${String(error).replace(/\s+/g, ' ').slice(0, 600)}`)
  }
}

/** Throws unless the two are equal. */
export function expect(what, found, wanted) {
  if (!isDeepStrictEqual(found, wanted)) {
    throw new Error(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`)
  }
}

/** Waits until the condition is true, and gives what it gave; throws if it does not come. */
export async function until(what, condition, seconds = 15) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const found = await condition()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`not after ${seconds} s: ${what}`)
    await pause(20)
  }
}

/** Sends a JSON body if there is one; the answer as JSON, as text if `parse` is false. */
export async function request(method, url, body, headers = {}, parse = true) {
  const answer = await fetch(url, {
    method,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Refused(method, url, answer.status, text)
  return parse && text ? JSON.parse(text) : text
}

/** Sends JSON to the management API under the project; the answer's JSON. */
export function call(method, path, body) {
  return request(method, `${URL}/api/projects/${PROJECT}/${path}`, body, { authorization: `Bearer ${KEY}` })
}

/** Conditions of a flag that is on for this share of everybody. */
export function share(percentage) {
  return { groups: [{ properties: [], rollout_percentage: percentage }] }
}

/** Conditions of a flag that is on where a property has this value. */
export function onFor(key, value, condition = {}) {
  const wanted = { key, type: 'person', operator: 'exact', value: [value], ...condition }
  return { groups: [{ properties: [wanted], rollout_percentage: 100 }] }
}

/** Creates a flag; it is on for everybody unless the filters say otherwise. */
export function makeFlag(key, filters = share(100), fields = {}) {
  return call('POST', 'feature_flags/', { key, filters, ...fields })
}

/** Changes a flag that `makeFlag` gave. */
export function changeFlag(flag, fields) {
  return call('PATCH', `feature_flags/${flag.id}/`, fields)
}

/** What `POST /flags?v=2` says of somebody, by flag key. */
export async function evaluate(distinctId, fields = {}) {
  const body = { token: TOKEN, distinct_id: distinctId, evaluation_runtime: 'server', ...fields }
  return (await request('POST', `${URL}/flags?v=2`, body)).flags
}

/** `stop`, `start` or `restart` for the service; done when it resolves. */
export function control(action) {
  return request('POST', `${CONTROL}/${action}`)
}

/** What the service's command line prints, on the service's database. */
export function flagstaff(...args) {
  return request('POST', `${CONTROL}/flagstaff`, args, {}, false)
}

/** What goes through RECORDED_URL from now on. */
export class Recording {
  static async begin() {
    const recording = new Recording()
    recording.start = (await everything()).length
    return recording
  }

  /** Those whose path starts so, oldest first; `wanted` narrows by field. */
  async exchanges(path = '', wanted = {}) {
    const fits = (exchange) => Object.entries(wanted).every(([name, value]) => exchange[name] === value)
    return (await everything()).slice(this.start).filter((one) => one.path.startsWith(path) && fits(one))
  }

  /** Their statuses; 0 where the service was down. */
  async statuses(path, wanted) {
    return (await this.exchanges(path, wanted)).map((exchange) => exchange.status)
  }
}

/** Throws if anything recorded was answered 402, or with a `Retry-After` that is not whole seconds. */
export async function checkCourtesy() {
  const exchanges = await everything()
  expect('answers of 402', exchanges.filter((one) => one.status === 402).map((one) => one.path), [])
  const waits = exchanges.map((one) => one.response_headers['retry-after']).filter((wait) => wait !== undefined)
  expect('other than whole seconds', waits.filter((wait) => !/^\d+$/.test(wait)), [])
  return { answers: exchanges.length, waits: waits.length }
}

function everything() {
  return request('GET', `${CONTROL}/recorded`)
}
