// How files come from servers that hide, stall, break off, redirect, pack or send something else. No GPU is needed.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Line } from '../../dist/exchange.js';
import { runtimeOf } from '../../dist/runtime.js';
import { blockBytes, fetchSmall, WireFile } from '../../dist/wire.js';

const data = new Uint8Array(2 * blockBytes + 12345).map((_, i) => (i * 2654435761) >>> 24);
const page = '<!DOCTYPE html><html><title>App</title></html>';
const servers = [];
after(() => {
  for (const s of servers) {
    s.closeAllConnections();
    s.close();
  }
});

/** Starts a server, and returns its URL and the requests that it has had. */
async function serve(answer) {
  const requests = [];
  const server = http.createServer((request, response) => {
    requests.push(request.headers);
    answer(request, response, requests.length);
  });
  servers.push(server);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/model.wgpu`, requests };
}

/** Answers a range as a good server does; `hidden` leaves out Content-Range, as CORS does. */
function range(request, response, { hidden = false, headers = {}, cut } = {}) {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range).map(Number);
  const part = data.subarray(from, to + 1);
  response.writeHead(206, {
    'Content-Length': part.length,
    ...(hidden ? {} : { 'Content-Range': `bytes ${from}-${from + part.length - 1}/${data.length}` }),
    ...headers,
  });
  if (cut === undefined) response.end(part);
  else response.write(part.subarray(0, cut)); // and then silence
}

const options = (more = {}) => ({
  fetch: (url, init) => fetch(url, init),
  line: new Line(500),
  concurrency: 3,
  received: () => {},
  ...more,
});

/** Reads all of a file. */
async function read(url, more) {
  const file = new WireFile(url, data.length, 'block', options(more));
  const all = new Uint8Array(data.length);
  for (let n = 0; n < all.length; ) {
    const part = await file.read(n, all.length - n);
    all.set(part, n);
    n += part.length;
  }
  return all;
}

const same = (got) => assert.equal(Buffer.compare(got, data), 0, 'the bytes differ');

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

for (const [what, cut] of [
  ['in the middle of a block', 1 << 20],
  ['before the first byte', 0],
]) {
  test(`silence ${what}: requested again from where it was`, async () => {
    const { url, requests } = await serve((q, r, n) => range(q, r, n === 1 ? { cut } : {}));
    let received = 0;
    same(
      await read(url, {
        received: (n) => {
          received += n;
        },
      }),
    );
    assert.equal(received, data.length, 'bytes were fetched twice');
    assert.equal(requests.at(-1).range, `bytes=${cut}-${blockBytes - 1}`);
  });
}

test('silence before the headers, and of a small file', async () => {
  const { url, requests } = await serve((_, r, n) => n > 1 && r.end('{}'));
  assert.equal(new TextDecoder().decode(await fetchSmall(url, options())), '{}');
  assert.equal(requests.length, 2);
});

test('a server that stays silent', async () => {
  const { url } = await serve(() => {});
  await assert.rejects(fetchSmall(url, options()), { code: 'network', message: /has sent nothing for 0\.5 s/ });
});

test('slow is not silent', async () => {
  const { url, requests } = await serve(async (_, r) => {
    r.writeHead(200);
    for (let i = 0; i < 8; i++) {
      r.write(' ');
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    r.end('{}');
  });
  assert.equal((await fetchSmall(url, options({ line: new Line(1500) }))).length, 10);
  assert.equal(requests.length, 1);
});

test('while one response arrives, another may wait', async () => {
  let first;
  const { url, requests } = await serve(async (q, r, n) => {
    if (n > 1) return void first.then(() => range(q, r)); // one after the other
    first = (async () => {
      const part = data.subarray(0, blockBytes);
      r.writeHead(206, {
        'Content-Length': part.length,
        'Content-Range': `bytes 0-${part.length - 1}/${data.length}`,
      });
      for (let i = 0; i < 8; i++) {
        r.write(part.subarray((i * blockBytes) / 8, ((i + 1) * blockBytes) / 8));
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      r.end();
    })();
  });
  same(await read(url, { line: new Line(1500) }));
  assert.equal(requests.length, 3, 'a request was given up while bytes came');
});

test('a server without ranges, silent once', async () => {
  const { url } = await serve((_, r, n) => {
    r.writeHead(200, { 'Content-Length': data.length });
    if (n === 2) r.write(data.subarray(0, 1000));
    else r.end(data);
  });
  same(await read(url, { concurrency: 1 }));
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
