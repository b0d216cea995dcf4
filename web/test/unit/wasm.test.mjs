// Where the WebAssembly is looked for, and what is said where it is not.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { wasmPlaces } from '../../dist/assets.js';
import { load } from '../../dist/worker.js';

const module = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]); // the smallest there is
const answers = {
  '/module': [200, 'application/wasm', module],
  '/plain': [200, 'text/plain', module],
  '/html': [200, 'text/html', '<!doctype html><p>Home</p>'],
  '/forbidden': [403, 'text/plain', ''],
  '/damaged': [200, 'application/wasm', module.subarray(0, 6)],
};
let origin;
const server = createServer((request, response) => {
  const [status, type, body] = answers[request.url] ?? [404, 'text/plain', ''];
  response.writeHead(status, { 'Content-Type': type }).end(body);
});

before(async () => {
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

let copies = 0;

/** Compiles the file at the first of the places that has one, in a fresh copy of the module. */
async function compiled(...places) {
  const wasm = await import(`../../dist/wasm.js?${++copies}`);
  wasm.setWasmPlaces(places.map((place) => origin + place));
  return wasm.wasmModule();
}

test('the first place that has the file is taken', async () => {
  for (const places of [['/module'], ['/plain'], ['/gone', '/module'], ['/html', '/forbidden', '/module']])
    assert.ok((await compiled(...places)) instanceof WebAssembly.Module, places.join());
});

test('without the file, the error says where to put it', async () => {
  for (const places of [['/html', '/gone'], ['/gone', '/forbidden'], []])
    await assert.rejects(
      compiled(...places),
      (e) => e.code === 'not-found' && /Copy .*llama-webgpu\.wasm.*\{ wasm:/.test(e.message),
    );
  await assert.rejects(compiled('/html', '/gone'), /HTML page instead of the file/);
});

test('a file that is there, but damaged, is not passed over', async () => {
  await assert.rejects(compiled('/damaged', '/module'), { code: 'corrupt' });
  await assert.rejects(compiled('/forbidden', '/module'), { code: 'invalid-argument' });
});

test('a policy that forbids WebAssembly is named', async (t) => {
  const refuse = async () => {
    throw new WebAssembly.CompileError(
      "WebAssembly.compile(): Refused to compile or instantiate WebAssembly module because 'unsafe-eval' is not allowed",
    );
  };
  t.mock.method(WebAssembly, 'compile', refuse);
  t.mock.method(WebAssembly, 'compileStreaming', refuse);
  for (const place of ['/module', '/plain'])
    await assert.rejects(
      compiled(place, '/module'),
      (e) => e.code === 'invalid-argument' && e.message.includes('wasm-unsafe-eval'),
    );
});

test('the HTTP cache is believed where the server agrees, or cannot be reached', async (t) => {
  const real = globalThis.fetch;
  let reached = true;
  const asked = [];
  t.mock.method(globalThis, 'fetch', async (url, init) => {
    asked.push(init.cache);
    if (!reached && init.cache !== 'force-cache') throw new TypeError('Failed to fetch');
    return real(url, { signal: init.signal }); // Node has no HTTP cache
  });
  assert.ok((await compiled('/module')) instanceof WebAssembly.Module);
  reached = false;
  assert.ok((await compiled('/module')) instanceof WebAssembly.Module);
  assert.deepEqual(asked, ['no-cache', 'no-cache', 'force-cache']);
});

test('the places are beside the package, and node_modules of what it is in', () => {
  const [beside, ...others] = wasmPlaces();
  assert.equal(beside, new URL('../../dist/llama-webgpu.wasm', import.meta.url).href);
  assert.ok(others.includes(new URL('../../node_modules/llama-webgpu/dist/llama-webgpu.wasm', import.meta.url).href));
});

test('a package that a bundler has put into a directory of node_modules is looked for beside that', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'llama-webgpu-'));
  try {
    const deps = join(dir, 'node_modules/.vite/deps');
    await mkdir(deps, { recursive: true });
    for (const name of ['assets', 'arguments', 'errors'])
      await copyFile(new URL(`../../dist/${name}.js`, import.meta.url), join(deps, `${name}.js`));
    await writeFile(join(deps, 'package.json'), '{"type": "module"}');
    const moved = await import(pathToFileURL(join(deps, 'assets.js')));
    const places = [join(deps, 'llama-webgpu.wasm'), join(dir, 'node_modules/llama-webgpu/dist/llama-webgpu.wasm')];
    assert.deepEqual(
      moved.wasmPlaces(),
      places.map((place) => pathToFileURL(place).href),
    );
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('Node has no Workers: the error says what there is instead', async () => {
  await assert.rejects(
    load('http://localhost/m/'),
    (e) => e.code === 'webgpu-unavailable' && e.message.includes('llama-webgpu/node'),
  );
});
