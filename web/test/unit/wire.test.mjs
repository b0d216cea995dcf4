// How files come from servers that hide, break off, redirect, pack or send something else. No GPU is needed.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Line } from '../../dist/exchange.js';
import { runtimeOf } from '../../dist/runtime.js';
import { blockBytes, fetchSmall } from '../../dist/wire.js';
import { data, options, range, read, same, serve, servers } from './servers.mjs';

const page = '<!DOCTYPE html><html><title>App</title></html>';

test('a server whose Content-Range is hidden', async () => {
  const { url, requests } = await serve((q, r) => range(q, r, { hidden: true }));
  same(await read(url));
  assert.equal(requests.length, 3);
  assert.ok(
    requests.every((h) => h['cache-control'] !== undefined),
    'the HTTP cache was trusted',
  );
});

test('a hidden range of a file that is too short', async () => {
  const { url } = await serve((q, r) => {
    if (/bytes=(\d+)/.exec(q.headers.range)[1] >= blockBytes) r.writeHead(416).end();
    else range(q, r, { hidden: true });
  });
  await assert.rejects(read(url), { code: 'corrupt' });
});

test('a range that was not requested', async () => {
  const { url } = await serve((q, r) => range(q, r, { headers: { 'Content-Range': `bytes 7-9/${data.length}` } }));
  await assert.rejects(read(url, { signal: AbortSignal.timeout(500) }), { code: 'aborted' }); // it keeps trying
});

test('a server without ranges whose connection breaks; a file that is too short', async () => {
  const broken = await serve((_, r, n) => {
    r.writeHead(200, { Connection: 'close' });
    if (n > 2) r.end(data);
    else r.write(data.subarray(0, blockBytes + n), () => r.socket.end()); // without the chunk that ends the body
  });
  same(await read(broken.url, { concurrency: 1 }));
  const quiet = http.createServer();
  servers.push(quiet);
  let asked = 0;
  quiet.on('connection', (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.0 200 OK\r\n\r\n'); // such a body ends with the connection, whatever ended that
      socket.end(++asked > 2 ? data : data.subarray(0, blockBytes + asked));
    });
  });
  await new Promise((resolve) => quiet.listen(0, '127.0.0.1', resolve));
  same(await read(`http://127.0.0.1:${quiet.address().port}/model.wgpu`, { concurrency: 1 }));
  const short = await serve((_, r) => {
    r.writeHead(200, { 'Content-Length': 1000 }).end(data.subarray(0, 1000));
  });
  await assert.rejects(read(short.url), { code: 'corrupt', message: /ends at byte 1000/ });
});

test('gzip in transfer, and a redirect', async () => {
  const good = await serve((_, r) => r.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(data)));
  same(await read(good.url));
  const to = await serve((q, r) => range(q, r));
  const from = await serve((_, r) => r.writeHead(302, { Location: to.url }).end());
  same(await read(from.url));
});

test('HTML in place of a file', async () => {
  const html = { 'Content-Type': 'text/html' };
  const whole = await serve((_, r) => r.writeHead(200, html).end(page));
  const untyped = await serve((_, r) => r.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(page));
  const ranged = await serve((q, r) => {
    const from = Number(/bytes=(\d+)/.exec(q.headers.range)?.[1]);
    if (from >= page.length) return void r.writeHead(416, html).end(page);
    r.writeHead(206, { ...html, 'Content-Range': `bytes ${from}-${page.length - 1}/${page.length}` }).end(page);
  });
  const hint = { code: 'not-found', message: /HTML page instead of the file.*single-page/ };
  for (const s of [whole, untyped, ranged]) await assert.rejects(read(s.url), hint);
  for (const s of [whole, untyped]) {
    await assert.rejects(fetchSmall(s.url, options()), hint);
    await assert.rejects(runtimeOf({}, s.url), hint); // the WebAssembly
  }
});

test('a file that only says it is HTML', async () => {
  const { url } = await serve((q, r) => range(q, r, { headers: { 'Content-Type': 'text/html' } }));
  same(await read(url));
});

test('abort ends a request that is silent', async () => {
  const { url } = await serve(() => {});
  const ender = new AbortController();
  setTimeout(() => ender.abort(), 50);
  await assert.rejects(read(url, { signal: ender.signal, line: new Line(60e3) }), { code: 'aborted' });
});

test('nobody listens: the reason is told, not only that fetch failed', async () => {
  const { port } = await new Promise((resolve) => {
    const s = http.createServer().listen(0, '127.0.0.1', () => {
      const address = s.address();
      s.close(() => resolve(address));
    });
  });
  const refusal = { code: 'network', message: /fetch failed: .*ECONNREFUSED/ };
  await assert.rejects(fetchSmall(`http://127.0.0.1:${port}/manifest.json`, options(), 1), refusal);
});

test('a fetch of the caller that throws or returns something else', async () => {
  const thrower = () => {
    throw new Error('mine');
  };
  await assert.rejects(fetchSmall('http://x/', options({ fetch: thrower }), 1), { code: 'network', message: /mine/ });
  await assert.rejects(fetchSmall('http://x/', options({ fetch: async () => 'text' })), { code: 'invalid-argument' });
});
