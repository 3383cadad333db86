// A site with a page that calls the service over gRPC-web, and a browser that opens it.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { TOKEN, URL } from '../support/harness.mjs'

const ROOT = process.env.CLIENT_ROOT
const require = createRequire(`${ROOT}/`)
const { chromium } = require('playwright-core')

const QUICKSTART = new globalThis.URL('../quickstart/', import.meta.url).pathname
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]
const TYPES = { html: 'text/html', js: 'text/javascript' }

function onPath(program) {
  return process.env.PATH.split(delimiter).map((folder) => join(folder, program)).find(existsSync)
}

/** The quick start's page, made as docs/clients.md says, changed in nothing but the address and the token. */
export class Site {
  static async open(...scripts) {
    const site = new Site()
    site.folder = await mkdtemp(join(tmpdir(), 'grpc-web-'))
    await symlink(join(ROOT, 'node_modules'), join(site.folder, 'node_modules'))
    await cp(process.env.FLAGSTAFF_PROTO, join(site.folder, 'proto'), { recursive: true })
    for (const file of ['grpc_web.html', 'grpc_web.js', 'buf.gen.web.yaml']) await site.add(join(QUICKSTART, file))
    for (const script of scripts) await site.add(script)
    site.run('buf', 'generate', 'proto', '--template', 'buf.gen.web.yaml')
    site.bundle('grpc_web.js', 'page.js')
    await site.serve()
    site.chromium = await chromium.launch({ executablePath: onPath('chromium'), args: FLAGS })
    return site
  }

  async add(path) {
    const text = (await readFile(path, 'utf8')).replaceAll('http://127.0.0.1:8080', URL).replaceAll('phc_…', TOKEN)
    await writeFile(join(this.folder, path.split('/').at(-1)), text)
  }

  /** Bundles a script with what it imports, as a module. */
  bundle(script, into) {
    this.run('esbuild', script, '--bundle', '--format=esm', `--outfile=${into}`)
  }

  run(program, ...args) {
    const path = `${join(ROOT, 'node_modules/.bin')}${delimiter}${process.env.PATH}`
    execFileSync(program, args, { cwd: this.folder, env: { ...process.env, PATH: path }, stdio: ['ignore', 2, 2] })
  }

  async serve() {
    this.server = createServer(async (request, response) => {
      const name = request.url.slice(1)
      const body = await readFile(join(this.folder, name)).catch(() => undefined)
      response.writeHead(body ? 200 : 404, { 'content-type': TYPES[name.split('.').at(-1)] ?? 'text/plain' }).end(body)
    })
    await new Promise((listening) => this.server.listen(0, '127.0.0.1', listening))
    this.origin = `http://shop.localhost:${this.server.address().port}`
  }

  /** Opens a page of the site. */
  async page(name) {
    const page = await this.chromium.newPage()
    await page.goto(`${this.origin}/${name}`)
    return page
  }

  async close() {
    await this.chromium.close()
    this.server.close()
    await rm(this.folder, { recursive: true })
  }
}
