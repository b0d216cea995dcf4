// Servers for the tests of how files come, and what reads from them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after } from 'node:test';
import { Line } from '../../dist/exchange.js';
import { blockBytes, WireFile } from '../../dist/wire.js';

export const data = new Uint8Array(2 * blockBytes + 12345).map((_, i) => (i * 2654435761) >>> 24);
export const servers = [];
after(() => {
  for (const s of servers) {
    s.closeAllConnections();
    s.close();
  }
});

/** Starts a server, and returns its URL and the requests that it has had. */
export async function serve(answer) {
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
export function range(request, response, { hidden = false, headers = {}, cut } = {}) {
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

export const options = (more = {}) => ({
  fetch: (url, init) => fetch(url, init),
  line: new Line(600_000), // where nobody is to be silent, a busy machine may be
  concurrency: 3,
  received: () => {},
  ...more,
});

/** Reads all of a file. */
export async function read(url, more) {
  const file = new WireFile(url, data.length, 'block', options(more));
  const all = new Uint8Array(data.length);
  for (let n = 0; n < all.length; ) {
    const part = await file.read(n, all.length - n);
    all.set(part, n);
    n += part.length;
  }
  return all;
}

export const same = (got) => assert.equal(Buffer.compare(got, data), 0, 'the bytes differ');
